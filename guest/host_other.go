//go:build !wasip1

package guest

import (
	"fmt"
	"os"
)

// theHost stands in where there is none, so that a guest's package can be
// compiled and its functions tested on every platform.
var theHost host = nativeHost{}

// nativeHost has no input and no functions, and shows log lines on standard error.
type nativeHost struct{}

// noHost is its answer to every hostCall.
const noHost = "this program is not a guest: it has no host to call"

func (nativeHost) inputRead([]byte, uint32) uint32 { return 0 }
func (nativeHost) outputWrite([]byte)              {}
func (nativeHost) fail(uint32, string, string)     {}

func (nativeHost) log(level int32, line string) {
	fmt.Fprintf(os.Stderr, "guest log (%d): %s\n", level, line)
}

func (nativeHost) hostCall(string, []byte) uint32 { return statusMissing }
func (nativeHost) exit()                          {}
func (nativeHost) hostSize() uint32               { return uint32(len(noHost)) }

func (nativeHost) codecName(uint32, []byte) uint32 { return 0 }

func (nativeHost) hostRead(p []byte, offset uint32) uint32 {
	return uint32(copy(p, noHost[min(int(offset), len(noHost)):]))
}
