package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sandpool/sandpool/executor"
)

// rawBytes is the type that a description gives raw bytes.
const rawBytes = "bytes"

// A rawError reports a function that wants raw bytes where it was given a value,
// or the other way round.
type rawError struct {
	function executor.Function
	hint     string
}

func (e *rawError) Error() string {
	return fmt.Sprintf("function %s takes %s and returns %s: %s", e.function.Name, e.function.In, e.function.Out, e.hint)
}

// explain turns a guest's refusal of an input into advice where a flag is at
// fault, and errors in the executor's terms into the tool's.
func (r *runner) explain(ctx context.Context, err error) error {
	e, ok := errors.AsType[*executor.GuestError](err)
	if !ok || e.Code != executor.CodeInput {
		return flagError(err)
	}
	if r.known == nil {
		d, describeErr := executor.Describe(ctx, r.ex, r.module)
		if describeErr != nil {
			return err
		}
		r.known = &d
	}
	for _, f := range r.known.Functions {
		if f.Name == r.function && (r.rawIn() != (f.In == rawBytes) || r.rawOut() != (f.Out == rawBytes)) {
			return &statusError{statusUsage, &rawError{f, rawHint(f)}}
		}
	}
	return err
}

func rawHint(f executor.Function) string {
	switch in, out := f.In == rawBytes, f.Out == rawBytes; {
	case in && out:
		return "use --raw"
	case in:
		return "use --raw=in"
	case out:
		return "use --raw=out"
	default:
		return "leave out --raw"
	}
}
