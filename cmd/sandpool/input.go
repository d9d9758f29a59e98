package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxInput bounds one input in bytes, as read and as encoded.
const maxInput = 1 << 30

// An argument is one INPUT, or standard input when there is none.
type argument struct {
	text    string // literal, or the path after @
	file    bool
	implied bool // standard input that nobody asked for by name
}

// parseArguments tells literals from files. "@@x" is the literal "@x".
func parseArguments(inputs []string) []argument {
	if len(inputs) == 0 {
		return []argument{{text: "-", file: true, implied: true}}
	}
	args := make([]argument, 0, len(inputs))
	for _, in := range inputs {
		path, file := strings.CutPrefix(in, "@")
		if file && !strings.HasPrefix(path, "@") {
			args = append(args, argument{text: path, file: true})
			continue
		}
		if file {
			in = path
		}
		args = append(args, argument{text: in})
	}
	return args
}

// name is what errors call a file argument.
func (a argument) name() string {
	if a.text == "-" {
		return "standard input"
	}
	return a.text
}

// open opens a file argument; closing it leaves standard input open.
func (a argument) open(stdin io.Reader) (io.ReadCloser, error) {
	if a.text == "-" {
		return io.NopCloser(stdin), nil
	}
	f, err := os.Open(a.text)
	if err != nil {
		return nil, usagef("input: %w", err)
	}
	return f, nil
}

// A feed yields inputs. An error is in the place of one input; more may follow.
type feed[In any] = iter.Seq2[In, error]

// jsonFeed yields the JSON values of the arguments: a literal is one value, a
// file any number of them. Literals are checked before anything is yielded.
func jsonFeed(args []argument, stdin io.Reader) (feed[any], error) {
	literals := make([]any, len(args))
	for i, a := range args {
		if a.file {
			continue
		}
		v, err := parseLiteral(a.text)
		if err != nil {
			return nil, err
		}
		literals[i] = v
	}
	return func(yield func(any, error) bool) {
		for i, a := range args {
			var goOn bool
			if a.file {
				goOn = a.values(stdin, yield)
			} else {
				goOn = yield(literals[i], nil)
			}
			if !goOn {
				return
			}
		}
	}, nil
}

func parseLiteral(text string) (any, error) {
	v, n, err := decodeAll(text)
	switch {
	case err != nil:
		return nil, usagef("argument %s is bad JSON: %w (a string has quotes, as in '\"text\"', or use --string)", strconv.Quote(shorten(text)), err)
	case n == 0:
		return nil, usagef("an argument is empty; JSON for nothing is null, for the empty string '\"\"'")
	case n > 1:
		return nil, usagef("argument %s holds more than one JSON value", strconv.Quote(shorten(text)))
	}
	return v, nil
}

// decodeAll returns the first JSON value in text and whether it holds none, one
// or, as 2, more.
func decodeAll(text string) (first any, n int, err error) {
	dec := newDecoder(strings.NewReader(text))
	first, err = nextValue(dec)
	if errors.Is(err, io.EOF) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if _, err := nextValue(dec); errors.Is(err, io.EOF) {
		return first, 1, nil
	} else if err != nil {
		return nil, 0, err
	}
	return first, 2, nil
}

func newDecoder(r io.Reader) *json.Decoder {
	dec := json.NewDecoder(r)
	dec.UseNumber()
	return dec
}

// nextValue returns the next value, or io.EOF itself at a clean end.
func nextValue(dec *json.Decoder) (any, error) {
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return fromJSON(v)
}

// values yields the JSON values of a file argument and reports whether to go on.
// What follows a mistake is lost: there is no telling where a value begins.
func (a argument) values(stdin io.Reader, yield func(any, error) bool) bool {
	r, err := a.open(stdin)
	if err != nil {
		return yield(nil, err)
	}
	defer r.Close()
	dec := newDecoder(r)
	for n := 0; ; n++ {
		v, err := nextValue(dec)
		if errors.Is(err, io.EOF) {
			if n == 0 && (a.implied || a.text != "-") {
				return yield(nil, usagef("%s holds no JSON value (JSON for nothing is null)", a.name()))
			}
			return true
		}
		if err != nil {
			return yield(nil, usagef("%s: bad JSON near byte %d: %w", a.name(), dec.InputOffset(), err))
		}
		if !yield(v, nil) {
			return false
		}
	}
}

// bytesFeed yields each argument whole: a literal's bytes or a file's content.
func bytesFeed(args []argument, stdin io.Reader) feed[[]byte] {
	return func(yield func([]byte, error) bool) {
		for _, a := range args {
			data, err := []byte(a.text), error(nil)
			if a.file {
				data, err = a.content(stdin)
			}
			if !yield(data, err) {
				return
			}
		}
	}
}

// stringFeed is bytesFeed for texts.
func stringFeed(args []argument, stdin io.Reader) feed[any] {
	return func(yield func(any, error) bool) {
		for data, err := range bytesFeed(args, stdin) {
			if err == nil && !utf8.Valid(data) {
				err = usagef("a string that is not UTF-8 (bytes go to functions that take bytes, with --raw)")
			}
			if !yield(string(data), err) {
				return
			}
		}
	}
}

// content reads a file argument whole.
func (a argument) content(stdin io.Reader) ([]byte, error) {
	r, err := a.open(stdin)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var b bytes.Buffer
	switch n, err := b.ReadFrom(io.LimitReader(r, maxInput+1)); {
	case err != nil:
		return nil, usagef("input: %w", err)
	case n > maxInput:
		return nil, usagef("input %s has more than %s", a.name(), bytesText(maxInput))
	}
	return b.Bytes(), nil
}
