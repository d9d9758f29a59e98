package wasi

import (
	"maps"
	"slices"

	"github.com/tetratelabs/wazero/api"
)

// Functions returns the names of those that do something.
func Functions() []string { return slices.Collect(maps.Keys(functions)) }

// ParseType reads a type like "(i32, i64) -> (i32)".
func ParseType(s string) (params, results []api.ValueType, err error) { return parseType(s) }
