//go:build wasip1

package msgpack

import "github.com/sandpool/sandpool/guest"

func init() {
	if err := guest.RegisterCodec(Name, Codec{}); err != nil {
		panic(err) // another package has taken the name
	}
}
