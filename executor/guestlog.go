package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/sandpool/sandpool/internal/quote"
	"github.com/sandpool/sandpool/internal/wire"
)

// A guestLog hands a call's log lines to Options.GuestLog. The worker keeps to
// the limit by itself; one that does not is not a worker of ours any more.
type guestLog struct {
	call   *call
	worker *worker
	used   [len(logLimits)]int64 // by stream
}

// logLimits are the limits of the streams, by their numbers.
var logLimits = [...]func(*Limits) int64{
	wire.StreamLog:    func(l *Limits) int64 { return l.Log },
	wire.StreamStdout: func(l *Limits) int64 { return l.Stdout },
	wire.StreamStderr: func(l *Limits) int64 { return l.Stderr },
}

func (g *guestLog) write(h wire.Header, line []byte) error {
	if int(h.Flags) >= len(g.used) {
		return fmt.Errorf("worker logs to stream %d", h.Flags)
	}
	used := &g.used[h.Flags]
	*used += int64(len(line)) + wire.LogLineCost
	if *used > logLimits[h.Flags](&g.call.target.limits) {
		return errors.New("worker logs beyond the limit it was given")
	}
	sink := g.worker.core.opts.GuestLog
	level := slog.Level(int32(h.Code))
	ctx := context.Background()
	if !sink.Enabled(ctx, level) {
		return nil
	}
	t := &g.call.target
	attrs := []slog.Attr{
		slog.String("func", t.name), slog.String("module", t.module.Name()), slog.Int("worker", g.worker.number),
	}
	switch h.Flags {
	case wire.StreamStdout:
		attrs = append(attrs, slog.String("stream", "stdout"))
	case wire.StreamStderr:
		attrs = append(attrs, slog.String("stream", "stderr"))
	}
	g.worker.inHandler(true)
	defer g.worker.inHandler(false)
	defer func() {
		if p := recover(); p != nil {
			g.worker.core.log.Error("handler of Options.GuestLog panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	sink.LogAttrs(ctx, level, quote.Line(string(line)), attrs...)
	return nil
}
