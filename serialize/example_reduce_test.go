package serialize_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sandpool/sandpool/serialize"
)

// A handle has no exported fields: codecs would make it an empty map.
type handle struct{ host, path string }

type request struct {
	Files map[string]*handle
	Depth int
}

// Handles travel as text, wherever they are in a request.
func ExampleReduce() {
	reducers, err := serialize.NewReducers(serialize.Reduce(
		func(h handle) (string, error) { return h.host + ":" + h.path, nil },
		func(s string) (handle, error) {
			host, path, ok := strings.Cut(s, ":")
			if !ok {
				return handle{}, fmt.Errorf("handle %q has no host", s)
			}
			return handle{host, path}, nil
		},
	))
	if err != nil {
		fmt.Println(err)
		return
	}
	in := request{Files: map[string]*handle{"log": {"db1", "/var/log"}}, Depth: 2}
	data, err := reducers.Encode(serialize.CBOR, in)
	if err != nil {
		fmt.Println(err)
		return
	}
	var out request
	err = reducers.Decode(serialize.CBOR, data, &out, 1<<20)
	fmt.Println(*out.Files["log"], out.Depth, err)

	err = reducers.Decode(serialize.CBOR, data, &out, 100)
	var tooMuch *serialize.BoundError
	fmt.Println(errors.As(err, &tooMuch) && tooMuch.Need > tooMuch.Max)
	// Output:
	// {db1 /var/log} 2 <nil>
	// true
}
