package executor_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
)

// drainQueue begins what comes next until nothing may.
func drainQueue(q *executor.Queue) []int {
	var order []int
	for id := q.Next(); id >= 0; id = q.Next() {
		q.Begin(id)
		order = append(order, id)
	}
	return order
}

func TestQueue_tenantsTakeTurns(t *testing.T) {
	t.Parallel()
	q := executor.NewQueue(0)
	for i := range 4 {
		q.Push(10+i, "a", 0, 1, false)
	}
	for i := range 3 {
		q.Push(20+i, "b", 0, 1, false)
	}
	q.Push(30, "c", 0, 1, false)
	require.Equal(t, 3, calling(q))
	order := drainQueue(q)
	require.ElementsMatch(t, []int{10, 20, 30}, order[:3], "each tenant in turn, however many calls it has")
	require.ElementsMatch(t, []int{11, 21}, order[3:5])
	require.Equal(t, []int{12, 13}, without(order[5:], 22))
	for _, id := range order {
		q.End(id)
		q.Finish(id)
	}
	require.Zero(t, calling(q))
}

func without(list []int, v int) []int {
	return slices.DeleteFunc(slices.Clone(list), func(e int) bool { return e == v })
}

func TestQueue_fewestWorkersThenLongestWaiting(t *testing.T) {
	t.Parallel()
	q := executor.NewQueue(0)
	for i := range 3 {
		q.Push(10+i, "a", 0, 1, false)
		q.Push(20+i, "b", 0, 1, false)
	}
	q.Begin(10)
	q.Begin(20)
	q.Begin(21) // a has one worker, b two
	require.Equal(t, 11, q.Next())
	q.End(20)
	require.Equal(t, 11, q.Next(), "as many, but b was served later")
	q.End(21)
	require.Equal(t, 22, q.Next(), "b has none")
}

func TestQueue_priorities(t *testing.T) {
	t.Parallel()
	q := executor.NewQueue(0)
	for i, p := range []int{0, -5, 7, 0, 7, 1 << 40, -1 << 40} {
		q.Push(i, "a", p, 1, false)
	}
	q.Push(7, "a", 0, 1, true)
	require.Equal(t, []int{5, 2, 4, 7, 0, 3, 1, 6}, drainQueue(q), "the highest first, equal in order, but for those pushed in front")
	q = executor.NewQueue(0)
	q.Push(0, "a", 1000, 1, false)
	q.Push(1, "a", 1000, 1, false)
	q.Push(2, "b", 0, 1, false)
	q.Begin(0)
	require.Equal(t, 2, q.Next(), "no way past other tenants")
}

func TestQueue_tenantWorkers(t *testing.T) {
	t.Parallel()
	q := executor.NewQueue(2)
	for i := range 4 {
		q.Push(i, "a", 0, 1, false)
	}
	q.Push(4, "a", 0, 2, false)
	require.Equal(t, []int{4, 0}, drainQueue(q), "nested ones count but are not held up")
	q.Push(5, "a", 0, 2, false)
	require.Equal(t, []int{5}, drainQueue(q))
	q.End(4)
	require.Equal(t, -1, q.Next(), "two are left")
	q.End(5)
	require.Equal(t, []int{1}, drainQueue(q))
}

func TestQueue_nested(t *testing.T) {
	t.Parallel()
	q := executor.NewQueue(0)
	q.Push(0, "a", 9, 1, false)
	q.Push(1, "a", 0, 2, false)
	q.Push(2, "b", 9, 2, false)
	q.Push(3, "b", 0, 4, false)
	q.Push(4, "a", 0, 2, true)
	q.Push(5, "a", 0, 4, false)
	require.Equal(t, []int{3, 5, 4, 1, 2, 0}, drainQueue(q), "the deepest first, whatever their priorities")
}

func TestQueue_remove(t *testing.T) {
	t.Parallel()
	q := executor.NewQueue(0)
	for i := range 5 {
		q.Push(i, "a", i%2, 1, false)
	}
	q.Push(5, "b", 0, 1, false)
	q.Push(6, "b", 0, 3, false)
	for _, id := range []int{3, 0, 5, 6} {
		q.Remove(id)
		q.Finish(id)
	}
	require.Equal(t, 1, calling(q))
	require.Equal(t, []int{1, 2, 4}, drainQueue(q))
	counted, listed := q.Size()
	require.Zero(t, counted)
	require.Zero(t, listed)
}

// A queueModel is a queue as one would write it without a thought for speed.
type queueModel struct {
	most    int
	clock   int
	calls   []modelCall // queued, in order
	workers map[string]int
	served  map[string]int
	alive   map[string]int // calls that are not finished
}

type modelCall struct {
	id, priority, depth int
	tenant              string
}

func (m *queueModel) push(c modelCall, front bool) {
	if front {
		m.calls = slices.Insert(m.calls, 0, c)
	} else {
		m.calls = append(m.calls, c)
	}
}

func (m *queueModel) add(tenant string) {
	if m.alive[tenant]++; m.alive[tenant] == 1 {
		m.workers[tenant], m.served[tenant] = 0, m.clock
	}
}

func (m *queueModel) remove(id int) modelCall {
	i := slices.IndexFunc(m.calls, func(c modelCall) bool { return c.id == id })
	c := m.calls[i]
	m.calls = slices.Delete(m.calls, i, i+1)
	return c
}

// next lists the calls whose turn it may be: several, where tenants are equal.
func (m *queueModel) next() []int {
	deepest := 1
	for _, c := range m.calls {
		deepest = max(deepest, c.depth)
	}
	if deepest > 1 {
		return []int{m.calls[slices.IndexFunc(m.calls, func(c modelCall) bool { return c.depth == deepest })].id}
	}
	first := make(map[string]modelCall)
	for _, c := range m.calls {
		if f, ok := first[c.tenant]; (!ok || c.priority > f.priority) && (m.most == 0 || m.workers[c.tenant] < m.most) {
			first[c.tenant] = c
		}
	}
	compare := func(a, b string) int {
		return cmp.Or(cmp.Compare(m.workers[a], m.workers[b]), cmp.Compare(m.served[a], m.served[b]))
	}
	best := ""
	for name := range first {
		if best == "" || compare(name, best) < 0 {
			best = name
		}
	}
	var ids []int
	for name, c := range first {
		if compare(name, best) == 0 {
			ids = append(ids, c.id)
		}
	}
	return ids
}

// TestQueue_model does at random what may be done to a queue, and to the model.
func TestQueue_model(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			testQueueModel(t, rand.New(rand.NewPCG(seed, 0)))
		})
	}
}

func testQueueModel(t *testing.T, r *rand.Rand) {
	t.Helper()
	most := r.IntN(4)
	q := executor.NewQueue(most)
	m := &queueModel{most: most, workers: make(map[string]int), served: make(map[string]int), alive: make(map[string]int)}
	var begun []modelCall
	finish := func(c modelCall) {
		q.Finish(c.id)
		m.alive[c.tenant]--
	}
	end := func(i int) modelCall {
		c := begun[i]
		begun = slices.Delete(begun, i, i+1)
		q.End(c.id)
		m.workers[c.tenant]--
		return c
	}
	for id := range 400 {
		switch op := r.IntN(10); {
		case op < 5:
			c := modelCall{id: id, priority: r.IntN(3) - 1, depth: max(1, r.IntN(12)-8), tenant: strconv.Itoa(r.IntN(5))}
			m.add(c.tenant)
			front := r.IntN(4) == 0
			m.push(c, front)
			q.Push(c.id, c.tenant, c.priority, c.depth, front)
		case op < 7 && len(m.next()) > 0:
			id := q.Next()
			c := m.remove(id)
			q.Begin(id)
			m.clock++
			m.workers[c.tenant]++
			m.served[c.tenant] = m.clock
			begun = append(begun, c)
		case op == 7 && len(begun) > 0:
			finish(end(r.IntN(len(begun))))
		case op == 8 && len(begun) > 0: // its worker is lost
			c := end(r.IntN(len(begun)))
			m.push(c, true)
			q.Push(c.id, c.tenant, c.priority, c.depth, true)
		case op == 9 && len(m.calls) > 0: // cancelled
			c := m.calls[r.IntN(len(m.calls))]
			m.remove(c.id)
			q.Remove(c.id)
			finish(c)
		}
		if want := m.next(); len(want) == 0 {
			require.Equal(t, -1, q.Next())
		} else {
			require.Contains(t, want, q.Next())
		}
		counted, listed := q.Size()
		require.Equal(t, len(m.calls), counted)
		require.Equal(t, len(m.calls), listed)
		known := 0
		for _, n := range m.alive {
			if n > 0 {
				known++
			}
		}
		require.Equal(t, known, calling(q))
	}
}

// calling is how many tenants have calls that are not done.
func calling(q *executor.Queue) int {
	n, _ := q.Tenants()
	return n
}

// However many tenants come and go, few are remembered, and one that comes again has its
// turn as a new one does.
func TestQueue_tenantsForgotten(t *testing.T) {
	t.Parallel()
	q := executor.NewQueue(0)
	for i := range 1000 {
		q.Push(i, strconv.Itoa(i), 0, 1, false)
		q.Begin(i)
		q.End(i)
		q.Finish(i)
	}
	calling, known := q.Tenants()
	require.Zero(t, calling)
	require.LessOrEqual(t, known, 20)
}
