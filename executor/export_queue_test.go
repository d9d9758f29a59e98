package executor

import "slices"

// A Queue is a queue of calls that tests name by number, with the turns that
// dispatchLocked takes.
type Queue struct {
	q     queue
	calls map[int]*call
	ids   map[*call]int
}

// NewQueue returns an empty queue.
func NewQueue(tenantWorkers int) *Queue {
	return &Queue{newQueue(tenantWorkers), make(map[int]*call), make(map[*call]int)}
}

// Push adds call id, in front of its equals or behind them.
func (q *Queue) Push(id int, tenant string, priority, depth int, front bool) {
	cl := q.calls[id]
	if cl == nil {
		cl = newCall(target{tenant: tenant, priority: priority}, nil)
		cl.depth, cl.tenant = depth, q.q.tenant(tenant)
		cl.tenant.calls++
		q.calls[id], q.ids[cl] = cl, id
	}
	q.q.push(cl, front)
}

// Remove takes call id out of the queue; it may be pushed again.
func (q *Queue) Remove(id int) { q.q.remove(q.calls[id]) }

// Next returns the call whose turn it is, -1 for none.
func (q *Queue) Next() int {
	for _, l := range slices.Backward(q.q.nested) {
		if cl := l.front(); cl != nil {
			return q.ids[cl]
		}
	}
	if len(q.q.turns) == 0 {
		return -1
	}
	return q.ids[q.q.turns[0].next()]
}

// Begin takes call id out of the queue and gives it a worker.
func (q *Queue) Begin(id int) {
	q.q.remove(q.calls[id])
	q.q.serve(q.calls[id].tenant, 1)
}

// End takes the worker of call id away again.
func (q *Queue) End(id int) { q.q.serve(q.calls[id].tenant, -1) }

// Finish is the end of call id, which is not in the queue.
func (q *Queue) Finish(id int) {
	cl := q.calls[id]
	delete(q.calls, id)
	delete(q.ids, cl)
	q.q.release(cl.tenant)
}

// Size returns how many calls are queued, as it is counted and as it is listed.
func (q *Queue) Size() (counted, listed int) { return q.q.size, len(q.q.ready()) }

// Tenants returns how many tenants the queue has calls of, and how many it knows of.
func (q *Queue) Tenants() (calling, known int) {
	for _, t := range q.q.tenants {
		if t.calls > 0 {
			calling++
		}
	}
	return calling, len(q.q.tenants)
}
