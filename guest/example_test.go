package guest_test

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/sandpool/sandpool/guest"
)

// In a guest these calls stand in an init function, and main is empty.
func Example() {
	type Query struct {
		Text string `cbor:"text"`
		Min  int    `cbor:"min"`
	}
	guest.Register("words", func(q Query) (map[string]int, error) {
		if q.Min < 0 {
			return nil, errors.New("min is negative")
		}
		count := make(map[string]int)
		for word := range strings.FieldsSeq(q.Text) {
			if len(word) >= q.Min {
				count[word]++
			}
		}
		return count, nil
	})

	// []byte is passed as it is, without an encoding.
	guest.Register("reverse", func(p []byte) ([]byte, error) {
		for i, j := 0, len(p)-1; i < j; i, j = i+1, j-1 {
			p[i], p[j] = p[j], p[i]
		}
		return p, nil
	})
	// Output:
}

func ExampleLogHandler() {
	log := slog.New(guest.LogHandler()).With("stage", "parse")
	log.Warn("line is long", "bytes", 70_000) // the host gets: line is long stage=parse bytes=70000
	// Output:
}
