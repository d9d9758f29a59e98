// Command hosted is a guest that calls functions of its host by their types.
package main

import (
	"errors"

	"github.com/sandpool/sandpool/guest"
	"github.com/sandpool/sandpool/hostlib/hostapi"
)

// Query is the input of the host function lookup.
type Query struct {
	Key   string `cbor:"key"`
	Count int    `cbor:"count"`
}

// Answer is its output.
type Answer struct {
	Key    string         `cbor:"key"`
	Values map[string]int `cbor:"values"`
	Next   *Answer        `cbor:"next"`
}

// Ending is how a call of a host function ended.
type Ending struct {
	Text    string
	Host    bool // it is a guest.HostError
	Missing bool
}

// Op is one step of keyvalue: a get, put or delete.
type Op struct {
	Do    string
	Key   string
	Value []byte
}

// Step is what became of an Op.
type Step struct {
	Value []byte
	Found bool
	Error string
}

var (
	lookup   = guest.HostFunc[Query, Answer]("lookup")
	confused = guest.HostFunc[int, string]("confused") // the host has it by other types
	broken   = guest.HostFunc[string, int]("broken")
	tick     = guest.HostFunc[struct{}, int]("tick")
	get      = guest.HostFunc[string, *[]byte](hostapi.KVGet)
	put      = guest.HostFunc[hostapi.Pair, struct{}](hostapi.KVPut)
	forget   = guest.HostFunc[string, struct{}](hostapi.KVDelete)
	fetch    = guest.HostFunc[hostapi.Request, hostapi.Response](hostapi.HTTPFetch)
)

func init() {
	guest.Register("lookup", lookup)
	guest.Register("confused", func(n int) (Ending, error) { _, err := confused(n); return ending(err), nil })
	guest.Register("broken", func(how string) (Ending, error) { _, err := broken(how); return ending(err), nil })
	guest.Register("ticks", ticks)
	guest.Register("keyvalue", keyvalue)
	guest.Register("fetch", fetch)
}

func ending(err error) Ending {
	if err == nil {
		return Ending{}
	}
	he, ok := errors.AsType[*guest.HostError](err)
	return Ending{Text: err.Error(), Host: ok, Missing: ok && he.Missing}
}

// ticks calls tick n times and returns its last answer.
func ticks(n int) (last int, err error) {
	for range n {
		if last, err = tick(struct{}{}); err != nil {
			return 0, err
		}
	}
	return last, nil
}

func keyvalue(ops []Op) ([]Step, error) {
	var steps []Step
	for _, op := range ops {
		var s Step
		var err error
		switch op.Do {
		case "get":
			var value *[]byte
			if value, err = get(op.Key); value != nil {
				s.Value, s.Found = *value, true
			}
		case "put":
			_, err = put(hostapi.Pair{Key: op.Key, Value: op.Value})
		default:
			_, err = forget(op.Key)
		}
		if err != nil {
			s.Error = err.Error()
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func main() {}
