// Package hostile holds the tests of modules that mean harm: a corpus made by code, of
// one module for each way in which a guest can try to hang, swell, flood, crash or
// deceive its host, good modules cut off at many places, and good modules with
// random damage. Each must end in the typed error that is meant for it, within its
// limits, while the calls of a neighbour in the same executor go on as if nothing was
// the matter.
//
//	make hostile
//
// The random choices follow from a seed, which a run prints; SEED repeats them.
package hostile
