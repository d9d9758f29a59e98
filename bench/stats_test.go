package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFiguresOf(t *testing.T) {
	t.Parallel()
	require.Zero(t, figuresOf(nil))
	require.Equal(t, figures{Samples: 1, Min: 7, Median: 7, P99: 7, Max: 7, Mean: 7}, figuresOf([]float64{7}))
	var samples []float64
	for i := range 201 {
		samples = append(samples, float64(200-i))
	}
	require.Equal(t, figures{Samples: 201, Min: 0, Median: 100, P99: 198, Max: 200, Mean: 100}, figuresOf(samples))
	require.Equal(t, figures{Samples: 2, Min: 1, Median: 1, P99: 1, Max: 3, Mean: 2}, figuresOf([]float64{3, 1}))
}

func TestWorse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		unit          unit
		v, than, want float64
	}{
		"longer":         {unitTime, 20, 10, 2},
		"shorter":        {unitTime, 5, 10, 0.5},
		"slower":         {unitRate, 5, 10, 2},
		"faster":         {unitRate, 20, 10, 0.5},
		"less speed-up":  {unitTimes, 1, 2, 2},
		"more memory":    {unitBytes, 2, 1, 2},
		"nothing":        {unitTime, 0, 10, 0},
		"than nothing":   {unitTime, 10, 0, 0},
		"rate of naught": {unitRate, 0, 10, 0},
	} {
		require.InDelta(t, c.want, worse(c.unit, c.v, c.than), 1e-9, name)
	}
}

func TestUnit(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"2.19 µs":  unitTime.text(2190),
		"1.50 M/s": unitRate.text(1.5e6),
		"250 k/s":  unitRate.text(250_400),
		"1.5 k/s":  unitRate.text(1500),
		"12 /s":    unitRate.text(12.3),
		"62.0 KiB": unitBytes.text(62 << 10),
		"1.75x":    unitTimes.text(1.75),
	} {
		require.Equal(t, want, got)
	}
	f := figures{Min: 1, Max: 9}
	require.InDelta(t, 1, f.best(unitTime), 0)
	require.InDelta(t, 9, f.best(unitRate), 0)
}
