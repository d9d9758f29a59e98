package wasmworker_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"

	"github.com/sandpool/sandpool/internal/guesttest"
)

// A startCase is a guest of BenchmarkStart. Its first function returns its input.
type startCase struct {
	name   string
	about  string
	wasm   []byte
	target float64 // how many times faster than wazero by itself a snapshot is to be; 0 for none
}

// The names of the guests, which targets refer to.
const (
	startWat   = "wat"
	startPage  = "wat, one page"
	startC     = "C"
	startGo    = "Go"
	startHeavy = "Go, heavy init"
)

func startCases(tb testing.TB) (cases []startCase, notices []string) {
	tb.Helper()
	cases = []startCase{
		{startWat, "echo by hand, 64 KiB of memory", guesttest.TinyEcho(), 0},
		{startPage, "the same with 2.3 MiB of data and two of Go's generators, writing one page", onePageGuest(), 0},
	}
	if wasm, reason := optional(tb, func(tb testing.TB) []byte { tb.Helper(); return guesttest.BytesC(tb, "cecho") }); reason == "" {
		cases = append(cases, startCase{startC, "echo with malloc", wasm, 0})
	} else {
		notices = append(notices, "the C guest is left out: "+reason)
	}
	return append(cases,
		startCase{startGo, "the SDK's echo", guesttest.Bytes(tb, "fixture"), 500},
		startCase{startHeavy, "the same after 40 regular expressions and a table of 5 MB", guesttest.Bytes(tb, "heavy"), 1000},
	), notices
}

// optional builds a guest, or returns why it is to be skipped.
func optional(tb testing.TB, build func(testing.TB) []byte) (wasm []byte, reason string) {
	tb.Helper()
	s := &skipper{TB: tb}
	done := make(chan struct{})
	go func() { // exits when build returns or skips
		defer close(done)
		wasm = build(s)
	}()
	<-done
	return wasm, s.reason
}

// A skipper is skipped in place of the benchmark.
type skipper struct {
	testing.TB

	reason string
}

func (s *skipper) Skipf(format string, args ...any) {
	s.reason = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (s *skipper) Fatalf(format string, args ...any) { s.Skipf(format, args...) }
func (s *skipper) Fatal(args ...any)                 { s.Skipf("%s", fmt.Sprint(args...)) }

// onePageGuest returns an echo whose calls write to one page of memory only, in an
// image of a small Go guest's size that has two generators to reseed, each in
// another page.
func onePageGuest() []byte {
	const (
		wasmPage = 64 << 10
		pages    = 37
		at       = 20 * wasmPage
	)
	t := guesttest.NewTiny()
	data := bytes.Repeat([]byte("sandpool"), (pages-1)*wasmPage/8)
	for i := range 2 {
		copy(data[(5+10*i)*wasmPage:], generator(byte(i)))
	}
	t.Data(wasmPage, data)
	body := new(guesttest.Code).
		I32(at).I32(0).Get(1).Call(t.Read).Drop().
		I32(at).Get(1).Call(t.Write).
		I32(0)
	return t.Finish("echo", [2]uint32{pages, pages}, nil, body)
}

// generator returns the bytes of one of Go's generators as a guest's memory has it,
// up to where its layout ends.
func generator(seed byte) []byte {
	const size = 300
	c := rand.NewChaCha8(sha256.Sum256([]byte{seed}))
	c.Uint64()
	return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(c)), size))
}
