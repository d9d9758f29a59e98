package executor

import (
	"fmt"
	"slices"
)

// CheckTransitions has every transition of every executor of the process end in a
// check of its counters against what they count. report gets what is wrong. It must
// be called before the executors are made.
func CheckTransitions(report func(string)) (stop func()) {
	afterTransition = func(c *core) {
		for _, wrong := range c.checkLocked() {
			report(wrong)
		}
	}
	return func() { afterTransition = nil }
}

// An audit counts anew what a core counts as it goes.
type audit struct {
	c     *core
	wrong []string
}

func (a *audit) equal(what string, is, want int) {
	if is != want {
		a.wrong = append(a.wrong, fmt.Sprintf("%s is %d, should be %d", what, is, want))
	}
}

func (a *audit) that(ok bool, format string, args ...any) {
	if !ok {
		a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
	}
}

// checkLocked lists what is wrong with the state.
func (c *core) checkLocked() []string {
	a := &audit{c: c}
	a.fleet()
	a.held()
	a.calls()
	a.queue()
	a.snapshots()
	return a.wrong
}

func (a *audit) fleet() {
	f := &a.c.fleet
	var alive, starting, spares, busy, parked int
	levels := make(map[int]int)
	workers := make(map[*tenant]int)
	for w := range f.all {
		if w.out {
			a.that(w.serving == nil && !w.parked, "worker %d is out and serves", w.number)
			continue
		}
		if !w.ready {
			starting++
		}
		if w.standby {
			spares++
		} else {
			alive++
		}
		a.that(w.lent == nil || len(w.held) > 0 && w.held[0] == w.lent, "worker %d has lent a call that is not its first", w.number)
		a.that(w.parked == (w.inHost && w.serving != nil && len(w.held) > 0 && w.held[0].nested > 0), "worker %d parked: %v", w.number, w.parked)
		if w.serving == nil {
			a.that(!w.parked, "worker %d is parked and serves nothing", w.number)
			continue
		}
		levels[w.depth]++
		if w.parked {
			parked++
		} else {
			busy++
			workers[w.serving]++
		}
	}
	a.equal("alive", f.alive, alive)
	a.equal("starting", f.starting, starting)
	a.equal("spares", f.spares, spares)
	a.equal("busy", f.busy, busy)
	a.equal("parked", f.parked, parked)
	a.that(f.parkedPeak >= f.parked, "parkedPeak %d of parked %d", f.parkedPeak, f.parked)
	a.equal("len(levels)", len(f.levels), len(levels))
	for d, n := range levels {
		a.equal(fmt.Sprintf("levels[%d]", d), f.levels[d], n)
	}
	for _, t := range a.c.queue.tenants {
		if _, ok := workers[t]; !ok {
			workers[t] = 0
		}
	}
	for t, n := range workers {
		a.equal("workers of tenant "+t.name, t.workers, n)
	}
	seen := make(map[*worker]bool)
	for i, w := range slices.Concat(f.idle, f.standbys) {
		_, known := f.all[w]
		a.that(known && !seen[w], "worker %d rests twice or is gone", w.number)
		seen[w] = true
		a.that(w.ready && !w.out && len(w.held) == 0 && w.serving == nil && !w.revoking && w.tasks.len() == 0 && w.standby == (i >= len(f.idle)),
			"worker %d rests: %+v", w.number, w)
	}
}

func (a *audit) held() {
	for w := range a.c.fleet.all {
		sent := true
		var seq uint64
		for i, cl := range w.held {
			a.that(cl.worker == w, "worker %d holds a call of another", w.number)
			a.that(cl.list == nil, "worker %d holds a call that is listed", w.number)
			if i == 0 {
				a.that(cl.state != Queued, "worker %d's first call is queued", w.number)
			} else {
				a.that(cl.state == Queued || cl.state == Done && (cl.seq != 0 || w.condemned || w.revoking), "worker %d's call %d is %v, number %d", w.number, i, cl.state, cl.seq)
			}
			a.that(cl.seq == 0 || sent && cl.seq > seq, "worker %d's calls are numbered out of order", w.number)
			sent, seq = cl.seq != 0, cl.seq
		}
		a.that(!w.stopping || w.condemned || len(w.held) > 0 && w.held[0].state == Done, "worker %d is to end a call that somebody waits for", w.number)
		if !w.out && len(w.held) > 0 && w.held[0].kind != callPreload {
			a.that(w.serving != nil, "worker %d holds calls and serves nothing", w.number)
		}
		if !w.out && w.serving != nil {
			a.that(len(w.held) > 0, "worker %d serves without a call", w.number)
		}
	}
}

// all lists every call that is not done.
func (a *audit) all() map[*call]bool {
	all := make(map[*call]bool)
	for _, cl := range a.c.callsLocked() {
		if cl.state != Done {
			a.that(!all[cl], "a call is in two places")
			all[cl] = true
		}
	}
	return all
}

func (a *audit) calls() {
	var pending, waiting, size int
	tenantCalls, tenantWaiting := make(map[*tenant]int), make(map[*tenant]int)
	users := make(map[*module]int)
	for cl := range a.all() {
		if cl.module != nil {
			users[cl.module]++
		}
		if cl.tenant == nil {
			continue
		}
		pending++
		tenantCalls[cl.tenant]++
		a.that(a.c.queue.tenants[cl.tenant.name] == cl.tenant, "a call of tenant %s that is forgotten", cl.tenant.name)
		if cl.counted {
			waiting++
			tenantWaiting[cl.tenant]++
		}
		if cl.ready {
			size++
		}
		a.that(cl.counted == (cl.depth == 1 && cl.state == Queued && cl.list != &a.c.over && cl.module != nil), "counted: %v, depth %d, listed %v", cl.counted, cl.depth, cl.list != nil)
	}
	for w := range a.c.fleet.all {
		for _, cl := range w.held {
			users[cl.module]++
		}
	}
	for _, m := range a.c.capturing {
		users[m]++
	}
	a.equal("pending", a.c.pending, pending)
	a.equal("waiting", a.c.waiting, waiting)
	a.equal("queue.size", a.c.queue.size, size)
	for _, t := range a.c.queue.tenants {
		a.equal("calls of tenant "+t.name, t.calls, tenantCalls[t])
		a.equal("waiting of tenant "+t.name, t.waiting, tenantWaiting[t])
		_, listed := a.c.blocked[t]
		a.that(listed == (t.blocked.len() > 0), "tenant %s blocked: %v", t.name, listed)
	}
	for _, m := range a.c.modules {
		a.equal("users of a module", m.users, users[m])
	}
	a.modules()
}

func (a *audit) modules() {
	var bytes int64
	last, idle := uint64(0), 0
	for _, m := range a.c.modules {
		a.equal("bytes of a module", int(m.bytes), int(m.sizeLocked()))
		bytes += m.bytes
		last = max(last, m.lastUse)
	}
	for _, m := range a.c.modules {
		if m.users == 0 && m.state != compiling && m.lastUse != last {
			idle++
		}
	}
	a.equal("bytes of all modules", int(a.c.moduleBytes), int(bytes))
	most := a.c.opts.ModuleCache
	a.that(most == 0 || bytes <= most || idle == 0, "%d bytes of modules, %d of these idle, where %d are kept", bytes, idle, most)
}

func (a *audit) snapshots() {
	users := make(map[*snapshot]int)
	calls := a.all()
	for w := range a.c.fleet.all {
		for _, cl := range w.held { // some of them may be done
			calls[cl] = true
		}
	}
	for cl := range calls {
		users[cl.start.snap]++
	}
	for _, m := range a.c.modules {
		for _, img := range m.images {
			users[img.current]++
			a.that(img.state == compiling || img.waiting.len() == 0, "calls wait for an image that is not captured")
			a.that(img.state != compiling || a.c.capturing[img] == m, "an image is being captured by nobody")
			a.that((img.state == compiled) == (img.current != nil), "an image is %d, has one: %v", img.state, img.current != nil)
		}
	}
	delete(users, nil)
	a.equal("snapshots", len(a.c.snapshots), len(users))
	for s, n := range users {
		a.equal("users of a snapshot", s.users, n)
	}
}

func (a *audit) queue() {
	q := &a.c.queue
	for i, t := range q.turns {
		a.that(t.index == i && q.tenants[t.name] == t, "tenant %s is at %d, thinks %d", t.name, i, t.index)
		if i > 0 {
			a.that(!q.turns.Less(i, (i-1)/2), "the heap of tenants is none at %d", i)
		}
	}
	for _, t := range q.tenants {
		in := len(t.order) > 0 && (q.most == 0 || t.workers < q.most)
		a.that(in == (t.index >= 0) && !t.passed, "tenant %s in turns: %v", t.name, t.index >= 0)
		a.equal("priorities of "+t.name, len(t.order), len(t.levels))
		for _, p := range t.order {
			a.that(t.levels[p].len() > 0, "empty list of priority %d", p)
		}
	}
}
