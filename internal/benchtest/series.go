package benchtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// A Series is durations of the same thing. Its zero value is empty.
type Series struct {
	samples []time.Duration
	sorted  bool
}

// Add appends samples.
func (s *Series) Add(samples ...time.Duration) {
	s.samples = append(s.samples, samples...)
	s.sorted = false
}

// Len returns how many there are.
func (s *Series) Len() int { return len(s.samples) }

// quantile returns the sample that a part of all is not larger than, zero for an
// empty series.
func (s *Series) quantile(q float64) time.Duration {
	if len(s.samples) == 0 {
		return 0
	}
	if !s.sorted {
		slices.Sort(s.samples)
		s.sorted = true
	}
	return s.samples[int(q*float64(len(s.samples)-1))]
}

// Min returns the shortest.
func (s *Series) Min() time.Duration { return s.quantile(0) }

// Median returns the one in the middle.
func (s *Series) Median() time.Duration { return s.quantile(0.5) }

// P99 returns the one that one in a hundred exceeds.
func (s *Series) P99() time.Duration { return s.quantile(0.99) }

// Mean returns the average, in which rare long ones count too.
func (s *Series) Mean() time.Duration {
	if len(s.samples) == 0 {
		return 0
	}
	var total time.Duration
	for _, d := range s.samples {
		total += d
	}
	return total / time.Duration(len(s.samples))
}

// MarshalJSON implements json.Marshaler: the figures, in nanoseconds.
func (s *Series) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Samples int           `json:"samples"`
		Min     time.Duration `json:"min_ns"`
		Median  time.Duration `json:"median_ns"`
		P99     time.Duration `json:"p99_ns"`
		Mean    time.Duration `json:"mean_ns"`
	}{s.Len(), s.Min(), s.Median(), s.P99(), s.Mean()})
}

// Time writes a duration with three digits or so: 812 ns, 2.19 µs, 31.4 ms.
func Time(d time.Duration) string {
	unit, name := time.Nanosecond, "ns"
	switch a := d.Abs(); {
	case a >= time.Second:
		unit, name = time.Second, "s"
	case a >= time.Millisecond:
		unit, name = time.Millisecond, "ms"
	case a >= time.Microsecond:
		unit, name = time.Microsecond, "µs"
	}
	return number(float64(d)/float64(unit), unit == time.Nanosecond) + " " + name
}

// Bytes writes a number of bytes in KiB or MiB.
func Bytes(n float64) string {
	if n >= 1<<20 {
		return number(n/(1<<20), false) + " MiB"
	}
	return number(n/(1<<10), false) + " KiB"
}

// Ratio writes how many times something is.
func Ratio(x float64) string { return number(x, false) + "x" }

func number(x float64, whole bool) string {
	switch {
	case whole || x >= 100 || x <= -100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10 || x <= -10:
		return fmt.Sprintf("%.1f", x)
	default:
		return fmt.Sprintf("%.2f", x)
	}
}
