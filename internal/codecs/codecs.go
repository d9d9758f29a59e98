// Package codecs holds the codecs of values and the registry of further ones. It is
// compiled into hosts and guests: both sides of a call name a codec alike.
package codecs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A Codec is what serialize documents under that name.
type Codec interface {
	Name() string
	Encode(v any) ([]byte, error)
	Decode(data []byte, v any) error
}

// Names of the codecs that every host and guest has.
const (
	NameRaw  = "raw"
	NameCBOR = "cbor"
	NameJSON = "json"
)

// maxName bounds a codec's name, in bytes.
const maxName = 32

var registry = struct {
	mu     sync.RWMutex // guards codecs
	codecs map[string]Codec
}{codecs: map[string]Codec{NameRaw: Raw{}, NameCBOR: CBOR{}, NameJSON: JSON{}}}

// Register makes a codec known by its name.
func Register(name string, c Codec) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if c == nil {
		return fmt.Errorf("codec %s is nil", name)
	}
	if own, err := nameOf(c); err != nil || own != name {
		return errors.Join(err, fmt.Errorf("codec %s calls itself %s", name, strconv.Quote(own)))
	}
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if registry.codecs[name] != nil {
		return fmt.Errorf("codec %s is registered already", name)
	}
	registry.codecs[name] = c
	return nil
}

// nameOf asks a codec for its name, as a nil pointer for one cannot be.
func nameOf(c Codec) (name string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its Name panics: %v", p)
		}
	}()
	return c.Name(), nil
}

// CheckName reports what is wrong with a codec's name.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("a codec's name has 1 to %d bytes, not %d", maxName, len(name))
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r) {
			return fmt.Errorf("%s is no codec's name: it has characters other than a–z 0–9 . - _", strconv.Quote(name))
		}
	}
	return nil
}

// Lookup returns the codec of a name, or an error that lists those there are.
func Lookup(name string) (Codec, error) {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	if c := registry.codecs[name]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("no codec %s; there are %s, and others once their package is imported",
		strconv.Quote(name), strings.Join(slices.Sorted(maps.Keys(registry.codecs)), ", "))
}

// Names lists the codecs in alphabetical order.
func Names() []string {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	return slices.Sorted(maps.Keys(registry.codecs))
}
