package guest

import (
	"log/slog"
	"math"
	"strconv"
	"strings"
)

// LogHandler returns a handler that hands each record to the host as [Log]
// does: the message, then the attributes as key=value in the form of
// [slog.TextHandler]. The record's time is left out, since the host has its
// own. Every level is enabled: the host decides what it keeps.
//
//	slog.SetDefault(slog.New(guest.LogHandler()))
func LogHandler() slog.Handler { return newLogHandler(theHost) }

// newLogHandler lets a TextHandler do the rendering, so that groups, quoting
// and LogValuer behave as everywhere else.
func newLogHandler(h host) slog.Handler {
	return slog.NewTextHandler(lineWriter{h}, &slog.HandlerOptions{Level: slog.Level(math.MinInt32)})
}

// lineWriter takes the lines of a TextHandler, one each Write.
type lineWriter struct{ host host }

// Write takes the level and the message out of the line
// `time=… level=WARN msg="two words" key=value` and logs the rest after them.
func (w lineWriter) Write(p []byte) (int, error) {
	line := strings.TrimSuffix(string(p), "\n")
	if strings.HasPrefix(line, "time=") { // a record may have none
		_, line, _ = strings.Cut(line, " ")
	}
	text, line, _ := strings.Cut(strings.TrimPrefix(line, "level="), " ")
	var level slog.Level
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return 0, err
	}
	message, attrs, err := cutMessage(strings.TrimPrefix(line, "msg="))
	if err != nil {
		return 0, err
	}
	w.host.log(int32(level), validUTF8(message+attrs))
	return len(p), nil
}

// cutMessage splits what follows "msg=" into the message, unquoted, and the
// attributes with the space before them.
func cutMessage(s string) (message, attrs string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s+" ", ' ')
		return s[:end], s[end:], nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", err
	}
	message, err = strconv.Unquote(quoted)
	return message, s[len(quoted):], err
}
