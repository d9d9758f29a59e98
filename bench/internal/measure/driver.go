package measure

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A Request is one line from the program to a driver. Each has one Reply.
type Request struct {
	Op    string // "hello", "open", "run" or "close"
	Side  string `json:",omitempty"` // of open: which of the contender's sides
	Job   *Job   `json:",omitempty"`
	Box   *Box   `json:",omitempty"`
	Wasm  string `json:",omitempty"` // of open: the guest's path, for drivers that run it
	Other string `json:",omitempty"` // of open: the path of the guest in Go
	Cache string `json:",omitempty"` // of open: a directory for compiled code
}

// A Reply is one line from a driver.
type Reply struct {
	Error   string            `json:",omitempty"`
	Absent  string            `json:",omitempty"` // why it takes no part
	Version map[string]string `json:",omitempty"` // of hello: what by its version
	Samples
}

// MaxReply bounds the length of a reply's line, in bytes.
const MaxReply = 64 << 20

// Serve is the main loop of a driver in Go: it returns when in ends.
func Serve(in io.Reader, out io.Writer, version map[string]string, open func(context.Context, Request) (Cell, error)) error {
	d := &driver{version: version, open: open}
	defer func() { _ = d.close() }() // nobody is left to be told
	lines := bufio.NewScanner(in)
	encoder := json.NewEncoder(out)
	for lines.Scan() {
		var r Request
		err := json.Unmarshal(lines.Bytes(), &r)
		if err != nil {
			return err
		}
		if err := encoder.Encode(d.reply(context.Background(), r)); err != nil {
			return err
		}
	}
	return lines.Err()
}

type driver struct {
	version map[string]string
	open    func(context.Context, Request) (Cell, error)
	cell    Cell // nil for none
}

func (d *driver) reply(ctx context.Context, r Request) (reply Reply) {
	var err error
	switch r.Op {
	case "hello":
		reply.Version = d.version
	case "open":
		d.cell, err = d.open(ctx, r)
	case "run":
		if d.cell == nil || r.Box == nil {
			err = errors.New("nothing is open")
			break
		}
		reply.Samples, err = d.cell.Run(ctx, *r.Box)
	case "close":
		err = d.close()
	default:
		err = fmt.Errorf("unknown operation %q", r.Op)
	}
	if absent, ok := errors.AsType[*AbsentError](err); ok {
		reply.Absent = absent.Why
	} else if err != nil {
		reply.Error = err.Error()
	}
	return reply
}

func (d *driver) close() error {
	if d.cell == nil {
		return nil
	}
	cell := d.cell
	d.cell = nil
	return cell.Close()
}
