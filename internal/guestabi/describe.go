package guestabi

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxName and maxText bound what a description may say, in bytes.
const (
	maxName = 128
	maxText = 4 << 10
)

// maxHost bounds the host functions that a description names.
const maxHost = 1000

// ParseDescription decodes and checks a guest's description. Its size is the
// caller's to bound.
func ParseDescription(b []byte) (*Description, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("description: not UTF-8") // the decoder would mend it
	}
	var d *Description
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("description: %w", err)
	}
	if d == nil {
		return nil, errors.New("description: null is no object")
	}
	seen := make(map[string]bool, len(d.Functions))
	for i, f := range d.Functions {
		if err := CheckName(f.Name); err != nil {
			return nil, fmt.Errorf("description: function %d: %w", i, err)
		}
		if seen[f.Name] {
			return nil, fmt.Errorf("description: two functions are called %q", f.Name)
		}
		seen[f.Name] = true
		if !isText(f.In) || !isText(f.Out) {
			return nil, fmt.Errorf("description: function %q: types are no short text", f.Name)
		}
	}
	if err := d.checkHost(); err != nil {
		return nil, err
	}
	if !isText(d.SDK) {
		return nil, errors.New("description: sdk is no short text")
	}
	return d, nil
}

// checkHost reports what is wrong with the list of host functions.
func (d *Description) checkHost() error {
	if len(d.Host) > maxHost {
		return fmt.Errorf("description: %d host functions are more than %d", len(d.Host), maxHost)
	}
	seen := make(map[string]bool, len(d.Host))
	for i, f := range d.Host {
		if err := CheckName(f.Name); err != nil {
			return fmt.Errorf("description: host function %d: %w", i, err)
		}
		if seen[f.Name] {
			return fmt.Errorf("description: two host functions are called %q", f.Name)
		}
		seen[f.Name] = true
		if !isText(f.In) || !isText(f.Out) {
			return fmt.Errorf("description: host function %q: types are no short text", f.Name)
		}
	}
	return nil
}

// CheckName reports why name is no function name.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("a name of %d bytes (1 to %d allowed)", len(name), maxName)
	}
	for _, c := range []byte(name) {
		if !isNameByte(c) {
			return fmt.Errorf("the name %q has other characters than letters, digits and any of '_-./:'", name)
		}
	}
	return nil
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_-./:", c) >= 0
}

func isText(s string) bool {
	return len(s) <= maxText
}
