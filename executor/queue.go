package executor

import (
	"container/heap"
	"slices"
)

// A callList is a list of calls from which any one can be removed at once. Its
// zero value is empty.
type callList struct {
	first, last *call
	n           int
}

func (q *callList) len() int { return q.n }

func (q *callList) push(cl *call) {
	cl.list, cl.prev, cl.next = q, q.last, nil
	if q.last != nil {
		q.last.next = cl
	} else {
		q.first = cl
	}
	q.last = cl
	q.n++
}

func (q *callList) pushFront(cl *call) {
	cl.list, cl.prev, cl.next = q, nil, q.first
	if q.first != nil {
		q.first.prev = cl
	} else {
		q.last = cl
	}
	q.first = cl
	q.n++
}

func (q *callList) remove(cl *call) {
	if cl.prev != nil {
		cl.prev.next = cl.next
	} else {
		q.first = cl.next
	}
	if cl.next != nil {
		cl.next.prev = cl.prev
	} else {
		q.last = cl.prev
	}
	cl.list, cl.prev, cl.next = nil, nil, nil
	q.n--
}

// front returns the first call, or nil.
func (q *callList) front() *call { return q.first }

// pop removes the first call and returns it, or nil.
func (q *callList) pop() *call {
	cl := q.front()
	if cl != nil {
		q.remove(cl)
	}
	return cl
}

// appendTo appends the list's calls to calls.
func (q *callList) appendTo(calls []*call) []*call {
	for cl := q.first; cl != nil; cl = cl.next {
		calls = append(calls, cl)
	}
	return calls
}

// keptTenants is how many tenants without calls a queue remembers: to make a record and
// its lists anew for each call would cost more than the rest of the queue does.
const keptTenants = 16

// A tenant is what an executor knows of one while it has calls that are not done, and for
// some time after.
type tenant struct {
	name    string
	calls   int               // that are not done
	waiting int               // of these, that count against TenantPending
	workers int               // that serve it and are not parked
	served  uint64            // the queue's clock when it last got a worker
	levels  map[int]*callList // calls that are ready for a worker, by priority; no list is empty
	order   []int             // the priorities in levels, the highest first
	spare   *callList         // an empty list for the next level; nil for none
	blocked callList          // calls whose Submit waits for room
	passed  bool              // over in this turn, for want of a worker that may serve it
	index   int               // in the queue's heap; -1 when it is not there
}

// next returns the tenant's first call that is ready, or nil.
func (t *tenant) next() *call {
	if len(t.order) == 0 {
		return nil
	}
	return t.levels[t.order[0]].front()
}

// A queue holds the calls that are ready for a worker: those of tenants, which
// take turns, and nested ones, which go first. It belongs to core.mu.
type queue struct {
	tenants map[string]*tenant
	turns   tenantHeap  // tenants with a call that is ready and room for a worker, the next first
	nested  []*callList // by depth, from 2
	size    int         // calls that are ready
	clock   uint64      // counts turns
	most    int         // Options.TenantWorkers
	granted int         // calls that are ready and have directories
}

func newQueue(tenantWorkers int) queue {
	return queue{tenants: make(map[string]*tenant), most: tenantWorkers}
}

// tenant returns the record of a tenant, new if need be.
func (q *queue) tenant(name string) *tenant {
	t := q.tenants[name]
	if t == nil {
		t = &tenant{name: name, levels: make(map[int]*callList), index: -1, served: q.clock}
		q.tenants[name] = t
	} else if t.calls == 0 {
		t.served = q.clock // it comes anew, and has not waited
	}
	return t
}

// push adds a call that is ready, in front of its equals or behind them.
func (q *queue) push(cl *call, front bool) {
	l := q.listFor(cl)
	if front {
		l.pushFront(cl)
	} else {
		l.push(cl)
	}
	cl.ready = true
	q.size++
	if cl.target.world.dirs != "" {
		q.granted++
	}
	q.fix(cl.tenant)
}

func (q *queue) listFor(cl *call) *callList {
	if cl.depth > 1 {
		for len(q.nested) < cl.depth-1 {
			q.nested = append(q.nested, new(callList))
		}
		return q.nested[cl.depth-2]
	}
	t, p := cl.tenant, cl.target.priority
	l := t.levels[p]
	if l == nil {
		if l, t.spare = t.spare, nil; l == nil {
			l = new(callList)
		}
		t.levels[p] = l
		at, _ := slices.BinarySearchFunc(t.order, p, func(a, b int) int { return b - a })
		t.order = slices.Insert(t.order, at, p)
	}
	return l
}

// remove takes a call out that is in the queue.
func (q *queue) remove(cl *call) {
	l := cl.list
	l.remove(cl)
	cl.ready = false
	q.size--
	if cl.target.world.dirs != "" {
		q.granted--
	}
	if t := cl.tenant; cl.depth == 1 && l.len() == 0 {
		t.spare = l
		delete(t.levels, cl.target.priority)
		t.order = slices.DeleteFunc(t.order, func(p int) bool { return p == cl.target.priority })
	}
	q.fix(cl.tenant)
}

// fix puts a tenant where it belongs after something about it has changed.
func (q *queue) fix(t *tenant) {
	in := len(t.order) > 0 && !t.passed && (q.most == 0 || t.workers < q.most)
	switch {
	case in && t.index < 0:
		heap.Push(&q.turns, t)
	case in:
		heap.Fix(&q.turns, t.index)
	case t.index >= 0:
		heap.Remove(&q.turns, t.index)
	}
}

// serve counts a worker more, or fewer, for a tenant.
func (q *queue) serve(t *tenant, n int) {
	t.workers += n
	if n > 0 {
		q.clock++
		t.served = q.clock
	}
	q.fix(t)
}

// release counts a call of a tenant as done.
func (q *queue) release(t *tenant) {
	t.calls--
	q.forget(t)
}

// forget drops a tenant that has no calls, if there are many.
func (q *queue) forget(t *tenant) {
	if t.calls == 0 && len(q.tenants) > keptTenants {
		delete(q.tenants, t.name)
	}
}

// ready lists the calls that are ready.
func (q *queue) ready() []*call {
	var calls []*call
	for _, l := range q.nested {
		calls = l.appendTo(calls)
	}
	for _, t := range q.tenants {
		for _, p := range t.order {
			calls = t.levels[p].appendTo(calls)
		}
	}
	return calls
}

// A tenantHeap has the tenant whose turn it is at its root: the one with the
// fewest workers, and of these the one that has waited longest. It implements
// heap.Interface.
type tenantHeap []*tenant //nolint:recvcheck // as heap.Interface has it

func (h tenantHeap) Len() int { return len(h) }

func (h tenantHeap) Less(i, j int) bool {
	if h[i].workers != h[j].workers {
		return h[i].workers < h[j].workers
	}
	return h[i].served < h[j].served
}

func (h tenantHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *tenantHeap) Push(x any) {
	t, _ := x.(*tenant)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *tenantHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.index = -1
	return t
}
