package executor

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wire"
)

// Bounds of Grants.
const (
	maxGrantedText = 64 << 10 // bytes of Args, and of Env, each entry counted with one more
	maxResolution  = time.Hour
)

// A Clock is how a guest sees the time, by its realtime clock and its monotonic one.
// The zero value is as it is.
type Clock struct {
	// Fixed makes every reading of the clock show this time, and the monotonic clock
	// stand still as well, so that a call's result does not depend on when it is made. A
	// guest that sleeps is not made to wait: its clocks are then later by as much as it
	// asked for, or it would never find that its time is up. One that waits in a loop, by
	// reading the clock again and again, waits until its Limits end it. The zero Time is
	// the time of now; others are of the years 1970 to 2262. Times of files in Dirs
	// are not changed.
	Fixed time.Time
	// Resolution rounds every reading down to a multiple of it, against guests that
	// measure what others do by how long things take. Zero and a nanosecond leave
	// readings as exact as the system's; at most an hour.
	Resolution time.Duration
}

// A world is what a guest finds besides its input, in a form that can be compared. The
// zero world is that of a guest without grants.
type world struct {
	args, env  string // each entry with a NUL at its end
	fixed      bool
	start      uint64 // nanoseconds since 1970, when fixed
	resolution time.Duration
	dirs       string // see joinDirs
}

// resolveWorld checks what the grants say of a guest's world.
func (g Grants) resolveWorld() (w world, err error) {
	if w.args, err = joinTexts("Func.Grants.Args", g.Args); err != nil {
		return w, err
	}
	if w.env, err = joinEnv("Func.Grants.Env", g.Env); err != nil {
		return w, err
	}
	if w.dirs, err = joinDirs(g.Dirs); err != nil {
		return w, err
	}
	return w, g.Clock.resolve(&w)
}

func (k Clock) resolve(w *world) error {
	if k.Resolution < 0 || k.Resolution > maxResolution {
		return &OptionError{"Func.Grants.Clock", fmt.Sprintf("a Resolution of %v is not between 0 and %v", k.Resolution, maxResolution)}
	}
	if w.resolution = k.Resolution; w.resolution == 1 {
		w.resolution = 0
	}
	if k.Fixed.IsZero() {
		return nil
	}
	if sec := k.Fixed.Unix(); sec < 0 || sec >= math.MaxInt64/int64(time.Second) {
		return &OptionError{"Func.Grants.Clock", fmt.Sprintf("the time %v is not of the years 1970 to 2262", k.Fixed)}
	}
	w.fixed, w.start = true, uint64(k.Fixed.UnixNano())
	return nil
}

// joinEnv returns an environment in the form of a world: sorted, the last entry of a
// key being the one that counts, as os/exec has it.
func joinEnv(option string, env []string) (string, error) {
	last := make(map[string]string, len(env))
	for i, entry := range env {
		key, _, ok := strings.Cut(entry, "=")
		if !ok || key == "" {
			return "", &OptionError{option, fmt.Sprintf("entry %d, %s, is not \"KEY=value\"", i, strconv.Quote(entry))}
		}
		last[key] = entry
	}
	entries := make([]string, 0, len(last))
	for _, entry := range last {
		entries = append(entries, entry)
	}
	slices.Sort(entries)
	return joinTexts(option, entries)
}

// joinTexts returns texts in the form of a world.
func joinTexts(option string, texts []string) (string, error) {
	if len(texts) > wire.MaxStrings {
		return "", &OptionError{option, fmt.Sprintf("%d entries are more than %d", len(texts), wire.MaxStrings)}
	}
	size := len(texts)
	for i, s := range texts {
		if size += len(s); size > maxGrantedText {
			return "", &OptionError{option, fmt.Sprintf("more than %d bytes, each entry counted with one more", maxGrantedText)}
		}
		if reason := checkText(s); reason != "" {
			return "", &OptionError{option, fmt.Sprintf("entry %d %s", i, reason)}
		}
	}
	var b strings.Builder
	b.Grow(size)
	for _, s := range texts {
		b.WriteString(s)
		b.WriteByte(0)
	}
	return b.String(), nil
}

// checkText reports why a guest cannot be given a text.
func checkText(s string) string {
	switch {
	case strings.IndexByte(s, 0) >= 0:
		return "contains a NUL byte"
	case !utf8.ValidString(s):
		return "is not UTF-8"
	default:
		return ""
	}
}

// splitTexts is what joinTexts has joined.
func splitTexts(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s[:len(s)-1], "\x00")
}

// clock returns the form of w's clock that workers get.
func (w *world) clock() *wire.Clock {
	if !w.fixed && w.resolution == 0 {
		return nil
	}
	return &wire.Clock{Fixed: w.fixed, Start: w.start, Resolution: uint64(w.resolution)}
}

// texts are all that is in w, for the keys of results.
func (w *world) texts() []string {
	fixed := ""
	if w.fixed {
		fixed = strconv.FormatUint(w.start, 10)
	}
	return []string{w.args, w.env, fixed, w.resolution.String(), w.dirs}
}

// withStdin returns the payload of a CALL with standard input.
func withStdin(stdin, input []byte, l Limits) ([]byte, error) {
	if size := int64(len(stdin)) + int64(len(input)); size > l.Input {
		return nil, &LimitError{Limit: guestabi.LimitInput, Max: l.Input, Used: size}
	}
	const prefix = 4
	b := make([]byte, prefix, prefix+len(stdin)+len(input))
	binary.LittleEndian.PutUint32(b, uint32(len(stdin)))
	b = append(b, stdin...)
	return append(b, input...), nil
}
