package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sandpool/sandpool/serialize"
)

// publicSuffix is what the name of a public key's file has after that of the private
// one.
const publicSuffix = ".pub"

const keygenHelp = `Keygen makes an Ed25519 key pair for signing modules: the private key in FILE and the
public one in FILE.pub, as PEM (PKCS #8 and PKIX, as OpenSSL has them), for the user alone.
Files that are there are never overwritten.
`

const signHelp = `Sign signs a module and writes the signature to MODULE.sig, in the place of one that is
there. Hosts that trust the public key then take the module, and no altered one. A
signature file may hold several signatures, one a line, so that a module can be signed
by an old key and by a new one. --output=- prints the signature instead.

`

const signExamples = `  sandpool keygen release.key
  sandpool sign --key release.key wordcount.wasm
  sandpool run --trust release.key.pub wordcount.wasm count '"to be or not to be"'
  sandpool sign --key new.key --output - wordcount.wasm >> wordcount.wasm.sig`

func newKeygen(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:     "keygen FILE",
		Short:   "Make a key pair for signing modules",
		Long:    keygenHelp + "\n" + statusHelp,
		Example: "  sandpool keygen release.key",
		Args:    wantArgs("FILE", 1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			public, private, err := ed25519.GenerateKey(nil)
			if err != nil {
				return fmt.Errorf("make a key: %w", err)
			}
			if err := writeKeyPair(args[0], private); err != nil {
				return err
			}
			return s.write([]byte(publicText(public) + "\n"))
		},
	}
}

func newSign(s *streams) *cobra.Command {
	var key, output string
	cmd := &cobra.Command{
		Use:     "sign --key FILE MODULE",
		Short:   "Sign a module",
		Long:    signHelp + statusHelp,
		Example: signExamples,
		Args:    wantArgs("MODULE", 1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			return s.sign(key, args[0], output)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "private key `file`, as keygen makes it")
	cmd.Flags().StringVarP(&output, "output", "o", "", "signature `file`, - for standard output (default: MODULE.sig)")
	return cmd
}

// sign signs the module at path.
func (s *streams) sign(keyFile, path, output string) error {
	if keyFile == "" {
		return usagef("sign wants --key FILE (sandpool keygen makes one)")
	}
	key, err := readPrivateKey(keyFile)
	if err != nil {
		return err
	}
	m, err := serialize.LoadModule(path)
	if err != nil {
		return loadError(err)
	}
	signature := serialize.Sign(key, m.Bytes())
	switch output {
	case "-":
		return s.write(signature)
	case "":
		output = path + serialize.SignatureSuffix
	}
	if err := replaceFile(output, signature); err != nil {
		return &statusError{statusSystem, fmt.Errorf("write signature: %w", err)}
	}
	return nil
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".sandpool-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// loadError gives a file system's error the status of a module that cannot be read.
func loadError(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		// The file system's error already names the path and what went wrong.
		return &statusError{statusModule, fmt.Errorf("module: %w", e)}
	}
	return err
}
