// Package startmethod names the ways a call gets its instance, and holds the
// default of the process.
//
//	fn.StartMethod = startmethod.Fresh // this function's calls
//	opts := &executor.Options{StartMethod: startmethod.Precompiled} // an executor's
//	err := startmethod.SetDefault(startmethod.Precompiled, false) // the process's
//
// The first of these that says something counts: the function, the executor's
// options, [SetDefault], the environment variable SANDPOOL_START_METHOD, the built-in
// default.
//
// The names in parentheses are those of the start methods of Python's loky, which
// [Parse] takes as well.
package startmethod
