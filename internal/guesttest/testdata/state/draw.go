package main

import (
	cryptorand "crypto/rand"
	"fmt"
	"hash/maphash"
	mathrand "math/rand"
	"math/rand/v2"
	"strings"
)

const drawn = 50 // entries of the maps

var drawMap = newDrawMap()

func newDrawMap() map[int]bool {
	m := make(map[int]bool)
	for i := range drawn {
		m[i] = true
	}
	return m
}

// draw returns random choices, a line for each of their sources.
func draw([]byte) ([]byte, error) {
	var b strings.Builder
	b.WriteString("math/rand/v2:")
	for range 8 {
		fmt.Fprintf(&b, " %d", rand.Uint64())
	}
	b.WriteString("\nmath/rand:")
	for range 4 {
		fmt.Fprintf(&b, " %d", mathrand.Int63())
	}
	b.WriteString("\nmap of init:")
	order(&b, drawMap)
	b.WriteString("\nmap of call:")
	order(&b, newDrawMap())
	fmt.Fprintf(&b, "\nmaphash: %x", maphash.String(maphash.MakeSeed(), "draw"))
	secret := make([]byte, 16)
	if _, err := cryptorand.Read(secret); err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "\ncrypto/rand: %x\n", secret)
	return []byte(b.String()), nil
}

func order(b *strings.Builder, m map[int]bool) {
	for k := range m {
		fmt.Fprintf(b, " %d", k)
	}
}
