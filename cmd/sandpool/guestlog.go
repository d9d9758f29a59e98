package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
)

// A guestLog prints what guests log and print, one line each: the level or
// stream in brackets and the escaped text. Its Handle is safe for concurrent use
// if the writer is.
type guestLog struct {
	w     io.Writer
	level slog.Level
}

// Enabled implements slog.Handler.
func (h *guestLog) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// Handle implements slog.Handler.
func (h *guestLog) Handle(_ context.Context, r slog.Record) error {
	source := strings.ToLower(r.Level.String())
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "stream" {
			return true
		}
		source = a.Value.String()
		return false
	})
	_, err := fmt.Fprintf(h.w, "[%s] %s\n", source, oneLine(r.Message))
	return err
}

// WithAttrs implements slog.Handler; the executor adds none.
func (h *guestLog) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler; the executor opens none.
func (h *guestLog) WithGroup(string) slog.Handler { return h }

// A logLevel is a flag's log level.
type logLevel slog.Level

// logOff is above every level of a guest.
const logOff = logLevel(math.MaxInt32)

// String returns the level's name.
func (l *logLevel) String() string {
	if *l == logOff {
		return "off"
	}
	return strings.ToLower(slog.Level(*l).String())
}

// Set takes slog's names, warning and off.
func (l *logLevel) Set(s string) error {
	switch strings.ToLower(s) {
	case "off", "none":
		*l = logOff
		return nil
	case "warning":
		s = "warn"
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(s)); err != nil {
		return errors.New("not debug, info, warn, error or off")
	}
	*l = logLevel(level)
	return nil
}

// Type names the value in the help.
func (*logLevel) Type() string { return "level" }
