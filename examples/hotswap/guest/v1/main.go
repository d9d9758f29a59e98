// Command v1 prices orders.
package main

import "github.com/sandpool/sandpool/guest"

// A quote is what a call returns.
type quote struct {
	Version string
	Cents   int
}

func init() { guest.Register("price", price) }

func price(cents int) (quote, error) { return quote{"v1", cents}, nil }

func main() {}
