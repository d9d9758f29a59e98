//go:build !unix

package main

import "errors"

// makeFIFO makes no named pipe here.
func makeFIFO(string) (string, error) { return "", errors.ErrUnsupported }
