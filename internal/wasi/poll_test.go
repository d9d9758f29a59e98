package wasi_test

import (
	"bytes"
	"context"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// A subscription is one of poll_oneoff's, 48 bytes.
type subscription []byte

func clockSub(id uint32, timeout uint64, flags uint16) subscription {
	s := make(subscription, 48)
	s[8] = 0
	le.PutUint32(s[16:], id)
	le.PutUint64(s[24:], timeout)
	le.PutUint64(s[32:], 1000) // precision
	le.PutUint16(s[40:], flags)
	return s
}

func fdSub(kind byte, fd uint32) subscription {
	s := make(subscription, 48)
	s[8] = kind
	le.PutUint32(s[16:], fd)
	return s
}

// An event says for which subscription it is, and how it ended.
type event struct {
	sub   int
	errno uint16
}

const (
	real, mono = 0, 1
	abs        = 1
	fdRead     = 1
	fdWrite    = 2
)

func TestPollOneoff(t *testing.T) {
	t.Parallel()
	forever := int64(math.MaxInt64)
	for name, tc := range map[string]struct {
		subs  []subscription
		slept int64
		want  []event
	}{
		"relative":              {[]subscription{clockSub(mono, 5, 0)}, 5, []event{{0, success}}},
		"relative, realtime":    {[]subscription{clockSub(real, 5, 0)}, 5, []event{{0, success}}},
		"no time":               {[]subscription{clockSub(mono, 0, 0)}, 0, []event{{0, success}}},
		"absolute":              {[]subscription{clockSub(mono, worldMono+7, abs)}, 7, []event{{0, success}}},
		"absolute, realtime":    {[]subscription{clockSub(real, worldReal+7, abs)}, 7, []event{{0, success}}},
		"absolute, now":         {[]subscription{clockSub(mono, worldMono, abs)}, 0, []event{{0, success}}},
		"absolute, past":        {[]subscription{clockSub(real, 7, abs)}, 0, []event{{0, success}}},
		"the earliest":          {[]subscription{clockSub(mono, 9, 0), clockSub(real, worldReal+3, abs), clockSub(mono, 4, 0)}, 3, []event{{1, success}}},
		"two at once":           {[]subscription{clockSub(mono, 3, 0), clockSub(mono, 9, 0), clockSub(mono, worldMono+3, abs)}, 3, []event{{0, success}, {2, success}}},
		"for ever":              {[]subscription{clockSub(mono, math.MaxUint64, 0)}, forever, []event{{0, success}}},
		"for ever, absolute":    {[]subscription{clockSub(real, math.MaxUint64, abs)}, forever, []event{{0, success}}},
		"not so long":           {[]subscription{clockSub(mono, math.MaxUint64, 0), clockSub(mono, math.MaxInt64-1, 0)}, forever - 1, []event{{1, success}}},
		"CPU time":              {[]subscription{clockSub(2, 5, 0), clockSub(3, 5, abs)}, 0, []event{{0, notsup}, {1, notsup}}},
		"no such clock":         {[]subscription{clockSub(4, 5, 0), clockSub(1<<32-1, 5, 0)}, 0, []event{{0, inval}, {1, inval}}},
		"no such flag":          {[]subscription{clockSub(mono, 5, 2), clockSub(mono, 5, 0xffff)}, 0, []event{{0, inval}, {1, inval}}},
		"no such kind":          {[]subscription{fdSub(3, 0), fdSub(255, 0)}, 0, []event{{0, inval}, {1, inval}}},
		"ready":                 {[]subscription{fdSub(fdRead, 0), fdSub(fdWrite, 1), fdSub(fdWrite, 2)}, 0, []event{{0, success}, {1, success}, {2, success}}},
		"the wrong way":         {[]subscription{fdSub(fdWrite, 0), fdSub(fdRead, 1), fdSub(fdRead, 2)}, 0, []event{{0, badf}, {1, badf}, {2, badf}}},
		"not open":              {[]subscription{fdSub(fdRead, 3), fdSub(fdWrite, 1<<32-1)}, 0, []event{{0, badf}, {1, badf}}},
		"ready before a clock":  {[]subscription{clockSub(mono, 5, 0), fdSub(fdRead, 0)}, 0, []event{{1, success}}},
		"ready with a past one": {[]subscription{clockSub(mono, 0, 0), fdSub(fdRead, 0)}, 0, []event{{0, success}, {1, success}}},
		"an error and a clock":  {[]subscription{clockSub(mono, 5, 0), clockSub(9, 5, 0)}, 0, []event{{1, inval}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, aliased := range []bool{false, true} {
				w := newWorld()
				g := newGuest(t, w)
				in, out, count := 1024, 8192, 512
				if aliased {
					out = in
				}
				g.fill()
				for i, s := range tc.subs {
					le.PutUint64(s, uint64(i)|0xabcdef<<32)
					copy(g.memory()[in+48*i:], s)
				}
				require.Zero(t, g.call("poll_oneoff", uint64(in), uint64(out), uint64(len(tc.subs)), uint64(count)))
				if tc.slept == 0 {
					require.Empty(t, w.slept)
				} else {
					require.Equal(t, []int64{tc.slept}, w.slept)
				}
				require.EqualValues(t, len(tc.want), g.u32(count))
				for i, e := range tc.want {
					require.Equal(t, eventBytes(e, tc.subs[e.sub][8]), g.memory()[out+32*i:][:32])
				}
				if !aliased {
					require.EqualValues(t, 0xee, g.memory()[out+32*len(tc.want)], "nothing else is written")
				}
			}
		})
	}
}

func eventBytes(e event, kind byte) []byte {
	b := make([]byte, 32)
	le.PutUint64(b, uint64(e.sub)|0xabcdef<<32)
	le.PutUint16(b[8:], e.errno)
	b[10] = kind
	if kind == fdWrite && e.errno == success {
		le.PutUint64(b[16:], 64<<10)
	}
	return b
}

func TestPollOneoff_closed(t *testing.T) {
	t.Parallel()
	g := newGuest(t, newWorld())
	for fd, kind := range []byte{fdRead, fdWrite, fdWrite} {
		copy(g.memory(), fdSub(kind, uint32(fd)))
		require.Zero(t, g.call("fd_close", uint64(fd)))
		require.Zero(t, g.call("poll_oneoff", 0, 1024, 1, 512))
		require.EqualValues(t, badf, le.Uint16(g.memory()[1024+8:]))
	}
}

func TestPollOneoff_counts(t *testing.T) {
	t.Parallel()
	w := newWorld()
	g := newGuest(t, w)
	require.EqualValues(t, inval, g.call("poll_oneoff", 0, 0, 0, 0))
	require.EqualValues(t, inval, g.call("poll_oneoff", memSize, memSize, 0, memSize))
	const most = memSize / 48
	for i := range most {
		copy(g.memory()[48*i:], clockSub(mono, 5, 0))
	}
	require.Zero(t, g.call("poll_oneoff", 0, 0, most, memSize-4), "all of memory")
	require.EqualValues(t, most, g.u32(memSize-4))
	require.Len(t, w.slept, 1)
	for _, n := range []uint64{
		most + 1,
		1 << 27,        // times 32 is 2^32
		1<<32/48 + 1,   // times 48 is a little over 2^32
		(1<<32)/16 + 1, // times 48 is 3·2^32 + 48
		math.MaxUint32,
		math.MaxUint32/3 + 1, // times 48 is 2^36 + 48
	} {
		require.EqualValues(t, fault, g.call("poll_oneoff", 0, 0, n, 0), n)
	}
	require.Len(t, w.slept, 1)
}

// FuzzPoll gives poll_oneoff any subscriptions and any addresses.
func FuzzPoll(f *testing.F) {
	f.Add([]byte(slices.Concat(clockSub(mono, 5, 0), fdSub(fdRead, 0))), uint32(2), uint32(1024), uint32(512))
	f.Add([]byte(slices.Concat(clockSub(real, worldReal+1, abs), clockSub(7, 0, 9), fdSub(9, 9))), uint32(3), uint32(0), uint32(16))
	f.Add([]byte(fdSub(fdWrite, 1)), uint32(1), uint32(memSize-32), uint32(memSize-4))
	f.Add([]byte{}, uint32(1<<32/48+1), uint32(0), uint32(0))
	w := newWorld()
	g := newGuest(f, w)
	poll := g.mod.ExportedFunction("poll_oneoff")
	const in = 16 << 10
	f.Fuzz(func(t *testing.T, subs []byte, n, out, count uint32) {
		g.t = t
		w.slept = nil
		g.fill()
		subs = subs[:min(len(subs), memSize-in)]
		copy(g.memory()[in:], subs)
		before := bytes.Clone(g.memory())
		results, err := poll.Call(context.Background(), in, uint64(out), uint64(n), uint64(count))
		require.NoError(t, err)
		after := g.memory()
		if e := uint32(results[0]); e != success {
			require.Contains(t, []uint32{fault, inval}, e)
			require.Equal(t, before, after)
			require.Empty(t, w.slept)
			return
		}
		require.LessOrEqual(t, len(w.slept), 1)
		for _, ns := range w.slept {
			require.Positive(t, ns)
		}
		copy(before[out:], after[out:out+32*n])
		copy(before[count:], after[count:count+4])
		require.True(t, bytes.Equal(before, after), "nothing else is written")
		if inEnd := in + 48*n; (out >= inEnd || out+32*n <= in) && (count >= inEnd || count+4 <= in) && (count >= out+32*n || count+4 <= out) {
			events := le.Uint32(after[count:])
			require.Positive(t, events, "it only returns for a reason")
			require.LessOrEqual(t, events, n)
		}
	})
}
