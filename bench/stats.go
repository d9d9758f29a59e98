package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/sandpool/sandpool/internal/benchtest"
)

// A unit is what the figures of a row are in.
type unit string

const (
	unitTime  unit = "ns"
	unitRate  unit = "calls/s"
	unitBytes unit = "bytes"
	unitTimes unit = "x"
)

// higherIsBetter tells rates and speed-ups from durations and memory.
func (u unit) higherIsBetter() bool { return u == unitRate || u == unitTimes }

// text writes a value with its unit.
func (u unit) text(v float64) string {
	switch u {
	case unitTime:
		return benchtest.Time(time.Duration(v))
	case unitBytes:
		return benchtest.Bytes(v)
	case unitRate:
		return rate(v)
	default:
		return benchtest.Ratio(v)
	}
}

// figures are what samples come to. All are in the row's unit.
type figures struct {
	Samples int     `json:"samples"`
	Min     float64 `json:"min"`
	Median  float64 `json:"median"`
	P99     float64 `json:"p99"`
	Max     float64 `json:"max"`
	Mean    float64 `json:"mean"`
}

// figuresOf sorts the samples.
func figuresOf(samples []float64) figures {
	if len(samples) == 0 {
		return figures{}
	}
	slices.Sort(samples)
	var sum float64
	for _, v := range samples {
		sum += v
	}
	last := len(samples) - 1
	return figures{
		Samples: len(samples),
		Min:     samples[0], Median: samples[last/2], P99: samples[last*99/100], Max: samples[last],
		Mean: sum / float64(len(samples)),
	}
}

// best is the best sample there is.
func (f figures) best(u unit) float64 {
	if u.higherIsBetter() {
		return f.Max
	}
	return f.Min
}

// worse returns how many times worse a value is than another; 0 if that is unknown.
func worse(u unit, v, than float64) float64 {
	if u.higherIsBetter() {
		v, than = than, v
	}
	if v <= 0 || than <= 0 {
		return 0
	}
	return v / than
}

// rate writes calls a second with three digits or so.
func rate(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M/s", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.0f k/s", v/1e3)
	case v >= 1e3:
		return fmt.Sprintf("%.1f k/s", v/1e3)
	default:
		return fmt.Sprintf("%.0f /s", v)
	}
}
