package parity_test

import "errors"

// There are no traits where nothing can prompt a worker.
const (
	lastWords = ""
	exits42   = ""
)

func prompt(int) error { return errors.ErrUnsupported }
