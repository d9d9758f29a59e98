package main

import "errors"

// A codecName is the value of --codec.
type codecName string

// The codecs whose results the tool can print.
const (
	cborCodec codecName = "cbor"
	jsonCodec codecName = "json"
)

// Set takes a codec's name.
func (c *codecName) Set(name string) error {
	switch codecName(name) {
	case cborCodec, jsonCodec:
		*c = codecName(name)
		return nil
	}
	return errors.New("want cbor or json")
}

func (c *codecName) String() string { return string(*c) }

// Type is what help calls the value.
func (*codecName) Type() string { return "name" }
