package guesttest

import (
	"fmt"
	"testing"
)

// A State is a guest that shows what a call leaves behind. Its functions take and
// return raw bytes:
//
//   - mark changes everything that the guest can change: globals, static data,
//     heap, stack, grown memory, environment, standard streams and whatever
//     else its language has. Its input is the mark's number, 8 bytes.
//   - look reports all of that as text, one line a subject, and changes nothing but
//     the number of calls seen.
//   - do takes a verb and a number, as [StateInput] makes them. The verb look is
//     the function look; any other marks first, and then the call ends as the verb
//     says.
//   - setup is mark as an initializer: its output is none, in CBOR.
//
// Two looks at instances that nobody has touched are equal. The first line is
// that of [StateLine], by which looks at an instance that keeps what calls did can be
// foretold. The second is "found=" and how often a magic word that mark writes
// everywhere is in the linear memory, freed memory included, as 8 hexadecimal digits.
type State struct {
	Name string
	Wasm []byte
	// Verbs are those of do besides look, with the way in which each call ends.
	Verbs map[string]Ending
}

// An Ending is how a call ends, and so what becomes of its instance.
type Ending int

// The endings. After the first three an instance that is kept between calls goes on.
const (
	EndsWell     Ending = iota
	EndsInError         // the guest says why
	EndsInPanic         // a recovered panic, which the guest reports
	EndsInGoexit        // the guest says why, and ends
	EndsInTrap          // the machine stops the guest
	EndsInExit          // with code 3
	EndsInAbort         // a trap or an exit with another code, as the language has it
	EndsInMemory        // the guest dies of memory that it does not get
	EndsInOutput        // the guest writes more output than it may
)

// Kept reports whether the instance is fit for another call.
func (e Ending) Kept() bool { return e <= EndsInPanic }

// Costly reports whether a call takes very much longer than others to end so.
func (s *State) Costly(verb string) bool {
	return verb == "overflow" || s.Verbs[verb] == EndsInMemory
}

// StateInput is the input of do.
func StateInput(verb string, number int) []byte {
	return fmt.Appendf(nil, "%-8s%08d", verb, number)
}

// StateLine is the first line of a look, with its newline: how many calls the
// instance has seen, the look included, and how many marks, the last with that
// number.
func StateLine(calls, marks, number int) string {
	last := "--------"
	if marks > 0 {
		last = fmt.Sprintf("%08d", number)
	}
	return fmt.Sprintf("calls=%08x marks=%08x last=%s\n", calls, marks, last)
}

// StateTiny is [TinyState].
func StateTiny() *State {
	return &State{Name: "tiny", Wasm: TinyState(), Verbs: map[string]Ending{
		"mark": EndsWell, "error": EndsInError,
		"trap": EndsInTrap, "divide": EndsInTrap, "oob": EndsInTrap, "overflow": EndsInTrap,
		"exit": EndsInExit, "memory": EndsInMemory, "flood": EndsInOutput,
	}}
}

// StateC is the guest testdata/cstate; see [BuildC].
func StateC(tb testing.TB) *State {
	tb.Helper()
	return &State{Name: "c", Wasm: BytesC(tb, "cstate"), Verbs: map[string]Ending{
		"mark": EndsWell, "closeout": EndsWell, "error": EndsInError,
		"trap": EndsInTrap, "oob": EndsInTrap, "overflow": EndsInTrap, "abort": EndsInAbort,
		"exit": EndsInExit, "memory": EndsInMemory, "flood": EndsInOutput,
	}}
}

// StateGo is the guest testdata/state.
func StateGo(tb testing.TB) *State {
	tb.Helper()
	return &State{Name: "go", Wasm: Bytes(tb, "state"), Verbs: map[string]Ending{
		"mark": EndsWell, "closeout": EndsWell, "error": EndsInError, "panic": EndsInPanic, "goexit": EndsInGoexit,
		"trap": EndsInTrap, "overflow": EndsInAbort, "abort": EndsInAbort,
		"exit": EndsInExit, "memory": EndsInMemory, "flood": EndsInOutput,
	}}
}
