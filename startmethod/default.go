package startmethod

import (
	"errors"
	"os"
	"sync"
)

// Variable is the environment variable that has the name of the default method,
// as [Parse] takes it.
const Variable = "SANDPOOL_START_METHOD"

// ErrDefaultSet is the error of a second [SetDefault].
var ErrDefaultSet = errors.New("startmethod: default already set")

// builtin is the fastest method under which nothing of a call survives it.
const builtin = Snapshot

// chosen is what SetDefault was given: state of the process, as in loky.
var chosen struct {
	mu     sync.Mutex // guards method
	method Method
}

// Default returns the method of calls for which neither Func nor Options says:
// that of [SetDefault], else that of the environment variable
// SANDPOOL_START_METHOD, else the built-in one, the fastest of [Methods] under which
// nothing that a call does is seen by another. It may be [LokyInitMain].
//
// The variable is read by each call of Default, and an executor calls it when it is
// made. A variable that names no method is the error; the method is the built-in one
// then.
func Default() (Method, error) {
	chosen.mu.Lock()
	defer chosen.mu.Unlock()
	if chosen.method != "" {
		return chosen.method, nil
	}
	name := os.Getenv(Variable)
	if name == "" {
		return builtin, nil
	}
	m, err := Parse(name)
	if err != nil {
		return builtin, err
	}
	return m, nil
}

// SetDefault makes m the default of the process, for executors that are made from
// then on. It is for main, not for libraries, and so it can be done once: when a
// default has been set, also to the same method, the error is [ErrDefaultSet], unless
// force says to replace it. The empty method with force makes it unset again. A
// method that is not [Method.Valid] is an error and changes nothing. SetDefault is
// safe for concurrent use.
func SetDefault(m Method, force bool) error {
	chosen.mu.Lock()
	defer chosen.mu.Unlock()
	if chosen.method != "" && !force {
		return ErrDefaultSet
	}
	if m != "" && !m.Valid() {
		return unknown(string(m))
	}
	chosen.method = m
	return nil
}
