package guest_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/guest"
)

func TestLevel(t *testing.T) {
	t.Parallel()
	for level, want := range map[guest.Level]slog.Level{
		guest.LevelDebug: slog.LevelDebug,
		guest.LevelInfo:  slog.LevelInfo,
		guest.LevelWarn:  slog.LevelWarn,
		guest.LevelError: slog.LevelError,
	} {
		require.EqualValues(t, want, level)
	}
}

// lazy logs while it is being logged.
type lazy struct{ log *slog.Logger }

func (l lazy) LogValue() slog.Value {
	l.log.Info("inner")
	return slog.StringValue("value")
}

func TestLogHandler(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		log   func(*slog.Logger)
		level int32
		want  string
	}{
		{"plain", func(l *slog.Logger) { l.Info("ready") }, 0, "ready"},
		{"two words", func(l *slog.Logger) { l.Warn("is ready", "n", 1) }, 4, "is ready n=1"},
		{"debug", func(l *slog.Logger) { l.Debug("d") }, -4, "d"},
		{"level between", func(l *slog.Logger) { l.Log(t.Context(), 6, "m") }, 6, "m"},
		{"level below", func(l *slog.Logger) { l.Log(t.Context(), -9, "m") }, -9, "m"},
		{"no message", func(l *slog.Logger) { l.Error("", "k", "v") }, 8, " k=v"},
		{"quoted", func(l *slog.Logger) { l.Info(`a "b" = c`, "k", "v w") }, 0, `a "b" = c k="v w"`},
		{"newline", func(l *slog.Logger) { l.Info("a\nb") }, 0, "a\nb"},
		{"invalid UTF-8", func(l *slog.Logger) { l.Info("a\xff") }, 0, "a\uFFFD"},
		{"builtin keys", func(l *slog.Logger) { l.Info("m", "msg", "x", "level", 3) }, 0, "m msg=x level=3"},
		{"message like a key", func(l *slog.Logger) { l.Info("msg=x") }, 0, "msg=x"},
		{"with and group", func(l *slog.Logger) { l.With("a", 1).WithGroup("g").Info("m", "b", 2) }, 0, "m a=1 g.b=2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := new(guest.FakeHost)
			test.log(slog.New(h.LogHandler()))
			require.Equal(t, []string{test.want}, h.Lines)
			require.Equal(t, []int32{test.level}, h.Levels)
		})
	}
}

func TestLogHandler_nested(t *testing.T) {
	t.Parallel()
	h := new(guest.FakeHost)
	log := slog.New(h.LogHandler())
	log.Info("outer", "k", lazy{log})
	require.Equal(t, []string{"inner", "outer k=value"}, h.Lines)
}
