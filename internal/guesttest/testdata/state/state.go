package main

import (
	"fmt"
	"log"
	"math/rand"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	blockSize  = 16 << 10
	blocks     = 16      // slices that are kept
	bigSize    = 3 << 20 // of the one that makes the memory grow
	goroutines = 4       // that are left parked, at most, and as many busy for a while
	randSeed   = 42
)

// What mark changes besides the state of the standard library.
var (
	calls, marks int
	last         = [numberSize]byte([]byte("--------"))
	zeroed       [64]byte
	data         = [16]byte{1}
	held         [blocks][]byte
	big          []byte
	table        = map[string]string{"at": "init"}
	ring         = make(chan string, 8)
	pool         sync.Pool
	once         sync.Once
	parked       int
	wake         = make(chan struct{}) // never written to

	onces, fired, ticks, finalized, spins atomic.Int64
)

// mark changes everything.
func mark(number [numberSize]byte) {
	calls++
	last = number
	text := string(number[:])
	fill(zeroed[:], number)
	fill(data[:], number)
	markHeap(number)
	markStack(32, number)
	markGoroutines(number)
	markLibrary(text)
	once.Do(func() { onces.Add(1) })
	_, _ = fmt.Fprint(os.Stdout, "out ", text) // without a newline
	_, _ = fmt.Fprint(os.Stderr, "err ", text)
	marks++
}

func markHeap(number [numberSize]byte) {
	text := string(number[:])
	block := make([]byte, blockSize)
	fill(block, number)
	held[marks%blocks] = block
	if big == nil {
		big = make([]byte, bigSize)
	}
	fill(big[:64], number)
	fill(big[len(big)-64:], number)
	table[text] = text
	if len(table) > 64 {
		clear(table)
	}
	select {
	case ring <- text:
	default:
		<-ring
	}
	pool.Put(&text)
	dying := make([]byte, 64)
	fill(dying, number)
	runtime.SetFinalizer(&dying[0], func(*byte) { finalized.Add(1) })
}

// markStack leaves the pattern in frames that are gone when it returns.
//
//go:noinline
func markStack(depth int, number [numberSize]byte) {
	var frame [512]byte
	fill(frame[:], number)
	if depth > 0 {
		markStack(depth-1, number)
	}
	runtime.KeepAlive(&frame)
}

// markGoroutines leaves goroutines and timers behind.
func markGoroutines(number [numberSize]byte) {
	if parked < goroutines {
		parked++
		go func() { // for ever
			var frame [64]byte
			fill(frame[:], number)
			<-wake
			runtime.KeepAlive(&frame)
		}()
		go func() { // for some calls
			for range 1000 {
				runtime.Gosched()
				spins.Add(1)
			}
		}()
	}
	if parked == 1 {
		go func() {
			t := time.NewTicker(time.Millisecond)
			for range t.C { // for ever
				ticks.Add(1)
			}
		}()
	}
	time.AfterFunc(time.Nanosecond, func() { fired.Add(1) })
}

// markLibrary changes what the standard library holds for the whole program.
func markLibrary(text string) {
	_ = os.Setenv("LEAK", text)
	log.SetPrefix(text)
	log.SetFlags(0)
	time.Local = time.FixedZone(text, 1)
	os.Args = []string{text}
	rand.Seed(randSeed)
	debug.SetGCPercent(50)
	if f, err := os.Create("/leak"); err == nil {
		_, _ = f.WriteString(text) // and left open
	}
}

// look reports.
func look() ([]byte, error) {
	magic := found()
	calls++
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("calls=%08x marks=%08x last=%s", calls, marks, last[:])
	say("found=%08x", magic)
	say("pages=%08x zeroed=%x data=%x", pages(), zeroed, data)
	kept := 0
	for _, block := range held {
		if block != nil {
			kept++
		}
	}
	say("held=%d big=%d table=%d at=%s ring=%d once=%d", kept, len(big), len(table), table["at"], len(ring), onces.Load())
	pooled := pool.Get()
	say("pooled=%t fired=%d ticks=%d finalized=%d spins=%d", pooled != nil, fired.Load(), ticks.Load(), finalized.Load(), spins.Load())
	say("goroutines=%d gc=%d seeded=%t", runtime.NumGoroutine(), gcPercent(), seeded())
	say("environ=%q args=%q prefix=%q flags=%d zone=%s", os.Environ(), os.Args, log.Prefix(), log.Flags(), time.Local)
	for _, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		info, err := f.Stat()
		mode := os.FileMode(0)
		if err == nil {
			mode = info.Mode()
		}
		say("%s: %v %v", f.Name(), mode, err)
	}
	return []byte(b.String()), nil
}

func gcPercent() int {
	percent := debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	return percent
}

// seeded reports whether the global source follows mark's seed.
func seeded() bool {
	const far = 64
	v := rand.Int63()
	r := rand.New(rand.NewSource(randSeed))
	for range far {
		if r.Int63() == v {
			return true
		}
	}
	return false
}
