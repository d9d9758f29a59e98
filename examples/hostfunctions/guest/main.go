// Command guest answers questions with what its host lends it.
package main

import (
	"fmt"
	"strings"

	"github.com/sandpool/sandpool/guest"
	"github.com/sandpool/sandpool/hostlib/hostapi"
)

// Order is one line of an invoice.
type Order struct {
	Item  string `cbor:"item"`
	Count int    `cbor:"count"`
}

// Price is what the host says of an item.
type Price struct {
	Cents    int    `cbor:"cents"`
	Currency string `cbor:"currency"`
}

// What the host lends; sandpool inspect lists it.
var (
	price = guest.HostFunc[string, Price]("price")
	count = guest.HostFunc[string, map[string]int]("count_words") // has another call count them
	get   = guest.HostFunc[string, *[]byte](hostapi.KVGet)
	put   = guest.HostFunc[hostapi.Pair, struct{}](hostapi.KVPut)
)

func init() {
	guest.Register("total", total)
	guest.Register("remember", remember)
	guest.Register("report", report)
	guest.Register("words", words)
}

// total asks the host for the price of each item: a custom host function with types.
func total(orders []Order) (string, error) {
	sum := Price{}
	for _, o := range orders {
		p, err := price(o.Item)
		if err != nil {
			return "", err
		}
		sum.Cents += p.Cents * o.Count
		sum.Currency = p.Currency
	}
	return fmt.Sprintf("%d.%02d %s", sum.Cents/100, sum.Cents%100, sum.Currency), nil
}

// remember keeps a value in the host's store and returns the one that was there: calls
// share nothing else.
func remember(value string) (before string, err error) {
	old, err := get("value")
	if err != nil {
		return "", err
	}
	if old != nil {
		before = string(*old)
	}
	_, err = put(hostapi.Pair{Key: "value", Value: []byte(value)})
	return before, err
}

// report has the host submit another call, words, and waits for its result.
func report(text string) (string, error) {
	n, err := count(text)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d words, %d different", n["total"], n["different"]), nil
}

// words is what the host submits for report.
func words(text string) (map[string]int, error) {
	seen := make(map[string]bool)
	total := 0
	for word := range strings.FieldsSeq(text) {
		seen[word] = true
		total++
	}
	return map[string]int{"total": total, "different": len(seen)}, nil
}

func main() {}
