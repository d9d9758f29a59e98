//go:build !wasip1

package msgpack

import "github.com/sandpool/sandpool/serialize"

func init() {
	if err := serialize.Register(Name, Codec{}); err != nil {
		panic(err) // another package has taken the name
	}
}
