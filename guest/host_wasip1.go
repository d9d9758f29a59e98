//go:build wasip1

package guest

import (
	"os"
	"unsafe"
)

// theHost is the worker this guest runs in.
var theHost host = wasmHost{}

// wasmHost calls the imports of ABI.md.
type wasmHost struct{}

func (wasmHost) inputRead(p []byte, offset uint32) uint32 {
	return inputRead(unsafe.Pointer(unsafe.SliceData(p)), offset, uint32(len(p)))
}

func (wasmHost) outputWrite(p []byte) {
	outputWrite(unsafe.Pointer(unsafe.SliceData(p)), uint32(len(p)))
}

func (wasmHost) fail(code uint32, message, stack string) { fail(code, message, stack) }

func (wasmHost) log(level int32, line string) { logLine(level, line) }

func (wasmHost) hostCall(name string, input []byte) uint32 {
	return hostCall(name, unsafe.Pointer(unsafe.SliceData(input)), uint32(len(input)))
}

func (wasmHost) hostSize() uint32 { return hostSize() }

func (wasmHost) hostRead(p []byte, offset uint32) uint32 {
	return hostRead(unsafe.Pointer(unsafe.SliceData(p)), offset, uint32(len(p)))
}

func (wasmHost) codecName(number uint32, p []byte) uint32 {
	return codecName(number, unsafe.Pointer(unsafe.SliceData(p)), uint32(len(p)))
}

func (wasmHost) exit() { os.Exit(exitGoexit) }

// exitGoexit is the exit status of a guest that called runtime.Goexit: Go's own for what
// it cannot go on after. The host shows what fail has said instead.
const exitGoexit = 2

//go:wasmimport sandpool_v1 codec_name
//go:noescape
func codecName(number uint32, p unsafe.Pointer, length uint32) uint32

//go:wasmimport sandpool_v1 input_read
//go:noescape
func inputRead(p unsafe.Pointer, offset, length uint32) uint32

//go:wasmimport sandpool_v1 output_write
//go:noescape
func outputWrite(p unsafe.Pointer, length uint32)

//go:wasmimport sandpool_v1 fail
//go:noescape
func fail(code uint32, message, stack string)

//go:wasmimport sandpool_v1 log
//go:noescape
func logLine(level int32, line string)

// The linker drops the three below from a guest that has no use for CallHost, so
// that it runs on hosts that do not offer them.

//go:wasmimport sandpool_v1 host_call
//go:noescape
func hostCall(name string, input unsafe.Pointer, length uint32) uint32

//go:wasmimport sandpool_v1 host_size
func hostSize() uint32

//go:wasmimport sandpool_v1 host_read
//go:noescape
func hostRead(p unsafe.Pointer, offset, length uint32) uint32

//go:wasmexport sandpool_v1_describe
func exportDescribe() uint32 {
	r := registered.start()
	r.settle()
	return r.describe(theHost)
}

//go:wasmexport sandpool_v1_call
func exportCall(function, inputSize, codecs uint32) uint32 {
	return registered.start().call(theHost, function, inputSize, codecs)
}
