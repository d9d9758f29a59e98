// Command guest adds up orders. It knows nothing of codecs: the SDK decodes what comes
// by the one that the host names, and encodes the result by the same or another.
package main

import "github.com/sandpool/sandpool/guest"

// An order is what the host's reducers leave of its own.
type order struct {
	Item  string
	Count int64
	Price int64 // in cents
}

func init() { guest.Register("total", total) }

func total(orders []order) (cents int64, err error) {
	for _, o := range orders {
		cents += o.Count * o.Price
	}
	return cents, nil
}

func main() {} // never called
