// Command echo is the floor of the benchmark: a process that answers each frame on
// its standard input with the same frame, on pipes that it blocks on. With -once it
// copies its input to its output and ends, for the row of one process a call.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxFrame bounds a frame, as Sandpool's inputs are bounded by default.
const maxFrame = 1 << 30

func main() {
	run := serve
	if len(os.Args) > 1 && os.Args[1] == "-once" {
		run = func(in io.Reader, out io.Writer) error {
			_, err := io.Copy(out, in)
			return err
		}
	}
	err := run(os.Stdin, os.Stdout)
	if err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

// serve answers frames, each the length in four bytes and that many bytes, until
// its input ends.
func serve(in io.Reader, out io.Writer) error {
	r := bufio.NewReaderSize(in, 64<<10)
	var frame []byte
	for {
		head, err := r.Peek(4)
		if err != nil {
			return err
		}
		size := 4 + int(binary.LittleEndian.Uint32(head))
		if size > maxFrame {
			return fmt.Errorf("a frame of %d bytes", size)
		}
		if cap(frame) < size {
			frame = make([]byte, size)
		}
		frame = frame[:size]
		if _, err := io.ReadFull(r, frame); err != nil {
			return err
		}
		if _, err := out.Write(frame); err != nil {
			return err
		}
	}
}
