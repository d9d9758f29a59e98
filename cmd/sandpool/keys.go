package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxKeyFile bounds a key file, in bytes.
const maxKeyFile = 64 << 10

// The types of PEM blocks in key files.
const (
	pemPublic  = "PUBLIC KEY"  // PKIX
	pemPrivate = "PRIVATE KEY" // PKCS #8
)

// readKeyFile returns the PEM blocks of a file, of which there is at least one and
// which all have the type.
func readKeyFile(flag, path, kind string) (blocks [][]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("%s: %w", flag, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, usagef("%s: %w", flag, err)
	}
	if len(text) > maxKeyFile {
		return nil, usagef("%s: %s has more than %s", flag, path, bytesText(maxKeyFile))
	}
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type != kind {
			return nil, usagef("%s: %s holds a %s where a %s is wanted", flag, path, block.Type, kind)
		}
		blocks = append(blocks, block.Bytes)
		text = rest
	}
	if len(blocks) == 0 {
		return nil, usagef("%s: %s holds no %s in PEM", flag, path, kind)
	}
	return blocks, nil
}

// readPublicKeys returns the Ed25519 keys in a file given to --trust, of which there
// is at least one.
func readPublicKeys(path string) ([]ed25519.PublicKey, error) {
	blocks, err := readKeyFile("--trust", path, pemPublic)
	if err != nil {
		return nil, err
	}
	keys := make([]ed25519.PublicKey, 0, len(blocks))
	for i, der := range blocks {
		parsed, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return nil, usagef("--trust: key %d of %s: %w", i+1, path, err)
		}
		key, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return nil, usagef("--trust: key %d of %s is no Ed25519 key", i+1, path)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// readPrivateKey returns the Ed25519 key in a file given to --key.
func readPrivateKey(path string) (ed25519.PrivateKey, error) {
	blocks, err := readKeyFile("--key", path, pemPrivate)
	if err != nil {
		return nil, err
	}
	if len(blocks) > 1 {
		return nil, usagef("--key: %s holds %d keys where one is wanted", path, len(blocks))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(blocks[0])
	if err != nil {
		return nil, usagef("--key: %s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, usagef("--key: %s is no Ed25519 key", path)
	}
	return key, nil
}

// writeKeyPair writes the private key to path and the public one to path+".pub",
// both for the user alone. It leaves files that are there as they are.
func writeKeyPair(path string, private ed25519.PrivateKey) (err error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return fmt.Errorf("encode the private key: %w", err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return fmt.Errorf("encode the public key: %w", err)
	}
	if err := writeNew(path, pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der})); err != nil {
		return err
	}
	if err := writeNew(path+publicSuffix, pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: publicDER})); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// writeNew writes a file that is not there yet, and takes it away again when it
// cannot be written whole.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return usagef("%s is there already, and keys are never overwritten", path)
	}
	if err != nil {
		return usagef("write key: %w", err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return &statusError{statusSystem, fmt.Errorf("write key: %w", errors.Join(err, os.Remove(path)))}
	}
	return nil
}

// publicText is a public key as the tool prints it.
func publicText(key ed25519.PublicKey) string {
	return "ed25519:" + base64.StdEncoding.EncodeToString(key)
}
