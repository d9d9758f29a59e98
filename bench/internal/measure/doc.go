// Package measure has what makes the figures of the benchmark, for the program itself
// and for the drivers, which are contenders in a process or a language of their own:
// the loops, what a row asks for, and the lines that program and driver exchange.
package measure
