// Command guest is called by the tests with MessagePack.
package main

import (
	"time"

	"github.com/sandpool/sandpool/guest"
	_ "github.com/sandpool/sandpool/serialize/msgpack"
)

// An Event is input and output.
type Event struct {
	Name string            `msgpack:"n"`
	Tags map[string]string `msgpack:"t"`
	At   time.Time         `msgpack:"at"`
	Data []byte            `msgpack:"d"`
	Next []Event           `msgpack:"next"`
}

func init() {
	guest.Register("later", func(e Event) (Event, error) {
		e.At = e.At.Add(time.Hour)
		return e, nil
	})
}

func main() {}
