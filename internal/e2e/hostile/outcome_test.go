package hostile_test

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/quote"
	"github.com/sandpool/sandpool/serialize"
)

// Outcomes of a call, as outcome has them.
const (
	ok = "ok"

	notWasm       = "module: not a wasm module"
	truncated     = "module: truncated"
	limit         = "module: limit exceeded"
	missingExport = "module: missing export"
	missingImport = "module: import not offered"
	invalid       = "module: invalid module"

	failed   = "guest: error"
	badInput = "guest: bad input"
	trap     = "guest: trap"
	exit     = "guest: exit"

	wall   = "limit: wall"
	memory = "limit: memory"
	output = "limit: output"
	logged = "limit: log"
	stdout = "limit: stdout"
	stderr = "limit: stderr"
	stack  = "limit: stack"
	cpu    = "limit: cpu"

	outOfMemory = "worker: out of memory"
)

// outcome classes an error by its type. Only what has one of ours has a class other than
// "untyped"; a worker's death needs a cause that is known.
func outcome(err error) string {
	if err == nil {
		return ok
	}
	if e, is := errors.AsType[*executor.StartError](err); is {
		return "start: " + e.Stage + ": " + outcome(e.Err)
	}
	if e, is := errors.AsType[*executor.WorkerError](err); is {
		if strings.Contains(e.Stderr, "out of memory") {
			return outOfMemory
		}
		return "worker: " + e.Error()
	}
	if e, is := errors.AsType[*serialize.ModuleError](err); is {
		return "module: " + e.Kind.String()
	}
	if e, is := errors.AsType[*executor.GuestError](err); is {
		return "guest: " + e.Code.String()
	}
	if e, is := errors.AsType[*executor.LimitError](err); is {
		return "limit: " + e.Limit
	}
	return fmt.Sprintf("untyped: %T", err)
}

// ours reports whether an outcome is one that any module may come to: a success or an
// error with a type of ours that says what the module has done.
func ours(o string) bool {
	for _, prefix := range []string{"module: ", "guest: ", "limit: ", outOfMemory} {
		if strings.HasPrefix(o, prefix) {
			return true
		}
	}
	return o == ok
}

// maxText bounds an error's text, in bytes: a message of 64 KiB, each byte escaped.
const maxText = 300 << 10

// unfit says what is wrong with a text that is shown to people and has a guest's words in
// it, or nothing.
func unfit(text string) string {
	switch {
	case len(text) > maxText:
		return fmt.Sprintf("it has %d bytes", len(text))
	case !utf8.ValidString(text):
		return "it is not UTF-8"
	case strings.ContainsFunc(text, func(r rune) bool { return r != '\t' && quote.Risky(r) }):
		return fmt.Sprintf("it has control characters: %.2000q", text)
	}
	return ""
}
