// Command v2 prices orders, with a tenth off since its second version.
package main

import "github.com/sandpool/sandpool/guest"

// A quote is what a call returns.
type quote struct {
	Version string
	Cents   int
}

func init() { guest.Register("price", price) }

func price(cents int) (quote, error) { return quote{"v2", cents * 9 / 10}, nil }

func main() {}
