// Package leak holds the tests of what calls leave behind for the next: every
// start method, with guests in several languages that change all they can and
// end in every way, against what the method promises.
//
//	make leak
package leak
