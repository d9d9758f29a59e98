package guest

import (
	"fmt"
	"strings"
)

// Level is the weight of a log line, with the numbers of log/slog; levels
// between the named ones are allowed.
type Level int32

// The named levels.
const (
	LevelDebug Level = -4
	LevelInfo  Level = 0
	LevelWarn  Level = 4
	LevelError Level = 8
)

// Log hands one line to the host and returns when the host has it. The host
// cuts a line at 64 KiB and may limit the bytes a call can log.
//
// In a program that is not a guest, such as a unit test, the line goes to
// standard error.
func Log(level Level, msg string) {
	theHost.log(int32(level), validUTF8(msg))
}

// Logf is [Log] with a message formatted by [fmt.Sprintf].
func Logf(level Level, format string, args ...any) {
	Log(level, fmt.Sprintf(format, args...))
}

func validUTF8(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
