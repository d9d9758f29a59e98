package serialize

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// MaxSignatureSize is the largest signature file that is taken, in bytes. It has
// room for nine signatures.
const MaxSignatureSize = 1 << 10

const (
	// signatureHeader begins each line of a signature file.
	signatureHeader = "sandpool-signature-v1 "
	// signatureDomain begins what is signed, so that a signature made for another
	// purpose is none of a module.
	signatureDomain = "sandpool module signature v1\x00"
)

// Sign signs a module's bytes and returns the content of a signature file: one
// line of text, which docs/signing.md describes. Several of them may stand in one
// file. Sign does not look at what the bytes are. It panics when the key is not of
// ed25519.PrivateKeySize bytes.
func Sign(key ed25519.PrivateKey, data []byte) []byte {
	signature := ed25519.Sign(key, signedMessage(sha256.Sum256(data)))
	return []byte(signatureHeader + base64.StdEncoding.EncodeToString(signature) + "\n")
}

// signedMessage is what a signature of a module with that digest signs.
func signedMessage(sum [sha256.Size]byte) []byte {
	return append([]byte(signatureDomain), sum[:]...)
}

// parseSignatures returns the signatures in a signature file, of which there is at
// least one, or what is wrong with it.
func parseSignatures(content []byte) (signatures [][]byte, reason string) {
	if len(content) > MaxSignatureSize {
		return nil, fmt.Sprintf("more than %d bytes", MaxSignatureSize)
	}
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		text, ok := strings.CutPrefix(line, signatureHeader)
		if !ok {
			return nil, fmt.Sprintf("line %d does not begin with %q", n, signatureHeader)
		}
		signature, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(signature) != ed25519.SignatureSize {
			return nil, fmt.Sprintf("line %d does not hold %d bytes in base64", n, ed25519.SignatureSize)
		}
		signatures = append(signatures, signature)
	}
	if n == 0 {
		return nil, "it is empty"
	}
	return signatures, ""
}
