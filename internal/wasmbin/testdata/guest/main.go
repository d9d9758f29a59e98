//go:build wasip1

// The guest the tests scan: the smallest reactor that still drags in the
// scheduler, fmt and maps, hence a few megabytes of what Go's linker emits.
package main

import "fmt"

//go:wasmimport env log
func log(n int64)

//go:wasmexport add
func add(a, b int32) int32 {
	log(int64(a))
	return a + b
}

//go:wasmexport hypot
func hypot(a, b float64) float64 { return a*a + b*b }

func main() { fmt.Println(map[string]int{"hello": 1}) }
