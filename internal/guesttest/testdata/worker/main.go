// Command worker is nothing but a worker, for tests whose own binary would be a
// slow one: the race detector makes the engine ten times slower.
package main

import "github.com/sandpool/sandpool/wasmworker"

func main() { wasmworker.Main() }
