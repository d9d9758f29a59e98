package serialize

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// SignatureSuffix is what the name of a module's signature file has after that of
// the module.
const SignatureSuffix = ".sig"

// A Trust says which modules a host takes. A module that it does not cover is
// refused before anything of it is parsed, with a [*ModuleError] of kind [Digest] or
// [Signature]; one that it covers has to be sound all the same. The zero value takes
// any. A Trust is safe for concurrent use.
type Trust struct {
	// Digest is the only one taken, in the form of [Module.Digest]; upper case will
	// do. Empty takes any.
	Digest string
	// Keys are those whose signature is taken; any one suffices, so that keys can be
	// replaced one by one. Nil asks for no signature. A list that is empty and not nil
	// trusts nobody.
	Keys []ed25519.PublicKey
	// Signature is what [Sign] returned, or several of these one after another, and
	// needs Keys. Nil means the content of the file next to the module whose name has
	// [SignatureSuffix] after it; New has no such file.
	Signature []byte
}

// Load reads a module from a file and scans it, as [LoadModule] does.
func (t Trust) Load(path string) (*Module, error) {
	return t.load(filepath.Base(path), path, func(path string) (fs.File, error) { return os.Open(path) })
}

// LoadFS is Load from a file system, such as an embed.FS.
func (t Trust) LoadFS(fsys fs.FS, path string) (*Module, error) {
	return t.load(path, path, fsys.Open)
}

// New is [NewModule] for what t covers.
func (t Trust) New(name string, data []byte) (*Module, error) {
	if len(data) > MaxModuleSize {
		return nil, tooLarge(name)
	}
	return t.take(name, slices.Clone(data), t.Signature)
}

// load reads the module at path and, if need be, its signature file.
func (t Trust) load(name, path string, open func(path string) (fs.File, error)) (*Module, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := readBounded(name, f)
	if err != nil {
		return nil, err
	}
	signature := t.Signature
	if t.Keys != nil && signature == nil {
		if signature, err = readSignature(name, path+SignatureSuffix, open); err != nil {
			return nil, err
		}
	}
	return t.take(name, data, signature)
}

// readSignature returns the content of a signature file. One that is too long is cut
// at a length that is refused as well.
func readSignature(name, path string, open func(path string) (fs.File, error)) ([]byte, error) {
	f, err := open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, untrusted(name, "its signature is missing: there is no file "+quote(path))
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAtMost(name, f, MaxSignatureSize+1)
}

// take checks data, which it keeps, and only then scans it.
func (t Trust) take(name string, data, signature []byte) (*Module, error) {
	sum := sha256.Sum256(data)
	if got := digestText(sum); t.Digest != "" && got != strings.ToLower(t.Digest) {
		return nil, &ModuleError{Kind: Digest, Module: name, Reason: fmt.Sprintf("digest is %s, pinned to %s", got, t.Digest)}
	}
	signer, err := t.signer(name, sum, signature)
	if err != nil {
		return nil, err
	}
	m, err := newModule(name, data, sum)
	if err != nil {
		return nil, err
	}
	m.signer = slices.Clone(signer)
	return m, nil
}

// signer returns the trusted key that has signed the digest; nil if none has to.
func (t Trust) signer(name string, sum [sha256.Size]byte, signature []byte) (ed25519.PublicKey, error) {
	for i, key := range t.Keys {
		if len(key) != ed25519.PublicKeySize {
			return nil, untrusted(name, fmt.Sprintf("trusted key %d is malformed: %d bytes instead of %d", i, len(key), ed25519.PublicKeySize))
		}
	}
	switch {
	case t.Keys == nil && signature == nil:
		return nil, nil //nolint:nilnil // documented above
	case t.Keys == nil:
		return nil, untrusted(name, "there is a signature, and no key to check it with")
	case signature == nil:
		return nil, untrusted(name, "its signature is missing")
	}
	signatures, reason := parseSignatures(signature)
	if reason != "" {
		return nil, untrusted(name, "its signature is malformed: "+reason)
	}
	message := signedMessage(sum)
	for _, key := range t.Keys {
		for _, s := range signatures {
			if ed25519.Verify(key, message, s) {
				return key, nil
			}
		}
	}
	return nil, untrusted(name, fmt.Sprintf("no trusted key matches: none of %d has signed %s", len(t.Keys), digestText(sum)))
}

func untrusted(name, reason string) *ModuleError {
	return &ModuleError{Kind: Signature, Module: name, Reason: reason}
}
