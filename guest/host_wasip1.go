//go:build wasip1

package guest

import "unsafe"

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

//go:wasmexport sandpool_v1_describe
func exportDescribe() uint32 { return registered.start().describe(theHost) }

//go:wasmexport sandpool_v1_call
func exportCall(function, inputSize, codecs uint32) uint32 {
	return registered.start().call(theHost, function, inputSize, codecs)
}
