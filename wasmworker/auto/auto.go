// Package auto installs the worker hook while packages are initialised:
//
//	import _ "github.com/sandpool/sandpool/wasmworker/auto"
//
// It is [wasmworker.Main] for programs whose main function cannot be changed.
// Initialisers of packages that do not depend on this one may run before it, in
// each worker too; prefer the explicit call where there is a choice.
package auto

import "github.com/sandpool/sandpool/wasmworker"

func init() { wasmworker.Main() }
