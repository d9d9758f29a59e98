// Command bench measures Sandpool beside what a user would pick instead.
//
//	make bench-deps   # contenders that are no Go modules, by apt and npm
//	make bench        # every row
//
// Each row is the same work for every contender, in one run, in rounds in which all
// of them take turns, after a warm-up. What a contender answers is compared with what
// it has to be. The program writes results.json (quick.json, scale.json), a table in Markdown and charts; a
// contender or cell that is missing stands there with its reason.
//
// # Files
//
// A row is in rows.go, what a contender does for each kind of row in a file of the
// contender's name, what makes the figures in internal/measure. Contenders in another
// language, and wasmtime, which needs cgo, are drivers: processes that measure
// themselves and exchange lines with this program (driver.go).
//
// Sandpool's workers are the program helper/sandpool and not this one, which has all
// contenders linked.
package main
