package executor

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/sandpool/sandpool/serialize"
)

// trusts reports why Options.TrustedKeys do not cover a module.
func (o *Options) trusts(m *serialize.Module) error {
	if o.TrustedKeys == nil {
		return nil
	}
	signer := m.SignedBy()
	reason := "it was loaded without a signature, and the executor has trusted keys"
	if signer != nil {
		if slices.ContainsFunc(o.TrustedKeys, func(key ed25519.PublicKey) bool { return bytes.Equal(key, signer) }) {
			return nil
		}
		reason = fmt.Sprintf("no trusted key matches: it is signed by none of the executor's %d", len(o.TrustedKeys))
	}
	return &serialize.ModuleError{Kind: serialize.Signature, Module: m.Name(), Reason: reason}
}

// cloneKeys copies a list and its keys. Nil stays nil, and an empty list what it is.
func cloneKeys(keys []ed25519.PublicKey) []ed25519.PublicKey {
	keys = slices.Clone(keys)
	for i := range keys {
		keys[i] = slices.Clone(keys[i])
	}
	return keys
}

// equalKeys reports whether two lists trust the same keys in the same order.
func equalKeys(a, b []ed25519.PublicKey) bool {
	return (a == nil) == (b == nil) && slices.EqualFunc(a, b, func(k, l ed25519.PublicKey) bool { return bytes.Equal(k, l) })
}
