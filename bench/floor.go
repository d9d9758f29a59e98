package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"

	"github.com/sandpool/sandpool/bench/internal/measure"
)

// floor is two Go processes on the same kind of pipes that Sandpool has: both block on
// them, and whoever writes a request reads its answer.
type floor struct{ l *lab }

func (*floor) name() string { return "pipe" }

func (f *floor) setup(_ context.Context, l *lab) (string, error) {
	f.l = l
	return runtime.Version(), nil
}

func (f *floor) sides(j measure.Job) ([]side, string) {
	switch j.Kind {
	case measure.Echo, measure.Submit, measure.Overshoot, measure.Idle:
	default:
		return nil, "it only moves bytes"
	}
	return []side{{"", func(ctx context.Context) (measure.Cell, error) {
		peers, err := openEach(j.Workers, func() (*peer, error) { return startPeer(ctx, f.l.helper("echo")) })
		if err != nil {
			return nil, err
		}
		if j.Kind == measure.Idle {
			return memoryCell(func() (pids []int) {
				for _, p := range peers {
					pids = append(pids, p.cmd.Process.Pid)
				}
				return pids
			}, func() error { return closeEach(peers) }), nil
		}
		return rig{
			echo:  func(_ context.Context, worker int, input []byte) ([]byte, error) { return peers[worker].call(input) },
			close: func() error { return closeEach(peers) },
		}.cell(j)
	}}}, ""
}

// A peer is the process at the other end.
type peer struct {
	cmd     *exec.Cmd
	request *os.File
	reply   *bufio.Reader
	replies *os.File
	frame   []byte
}

func startPeer(ctx context.Context, path string) (*peer, error) {
	in, request, err := blockingPipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	replies, out, err := blockingPipe()
	if err != nil {
		request.Close()
		return nil, err
	}
	defer out.Close()
	p := &peer{cmd: exec.CommandContext(ctx, path), request: request, replies: replies, reply: bufio.NewReaderSize(replies, 64<<10)}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = in, out, os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, request.Close(), replies.Close())
	}
	return p, nil
}

// call sends a frame and returns the one that comes back, which is the caller's own.
func (p *peer) call(input []byte) ([]byte, error) {
	p.frame = append(binary.LittleEndian.AppendUint32(p.frame[:0], uint32(len(input))), input...)
	if _, err := p.request.Write(p.frame); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(p.reply, head[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head[:])
	if int(size) != len(input) {
		return nil, errors.New("the peer's frame is of another length")
	}
	output := make([]byte, size)
	_, err := io.ReadFull(p.reply, output)
	return output, err
}

// Close ends the process.
func (p *peer) Close() error {
	return errors.Join(p.request.Close(), p.cmd.Wait(), p.replies.Close())
}

// openEach opens n of something, or none.
func openEach[T io.Closer](n int, open func() (T, error)) ([]T, error) {
	var all []T
	for range n {
		one, err := open()
		if err != nil {
			return nil, errors.Join(err, closeEach(all))
		}
		all = append(all, one)
	}
	return all, nil
}

func closeEach[T io.Closer](all []T) error {
	var errs []error
	for _, one := range all {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}
