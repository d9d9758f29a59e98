package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/sandpool/sandpool/internal/cgroup"
	"github.com/sandpool/sandpool/internal/shm"
)

// A Spec says what to start.
type Spec struct {
	Path string   // the program; empty means this one
	Name string   // argv[0], as ps shows it
	Env  []string // added to the few variables every worker gets

	Confine // what the kernel is to take from the process at its start
}

// A Process is a started worker, as its host holds it. Requests, Replies and
// SendBlobs are for one goroutine; Kill, Control and Stop are for any; Wait is
// called once.
type Process struct {
	PID      int
	Requests *os.File // host writes; blocking
	Replies  *os.File // host reads; blocking

	cmd     *exec.Cmd
	control *os.File // frames that are read at any time; closing it asks the worker to exit
	blobs   *os.File // descriptor channel; nil where there is none
	stderr  *tail
	once    sync.Once     // closes control
	group   *cgroup.Group // its control group; nil for its host's
}

// Exit is how a process ended.
type Exit struct {
	PID        int
	Signal     int    // the signal that killed it; 0 when it exited
	SignalName string // "SIGKILL", or empty
	Code       int    // the exit code; -1 when a signal killed it
	Stderr     string // the first and last 2 KiB of its standard error

	OutOfMemory bool // the kernel killed it because its control group had no memory left
}

// start starts spec's program with its pipes; called on the launcher's thread.
func start(spec Spec) (*Process, error) {
	path, err := program(spec.Path)
	if err != nil {
		return nil, err
	}
	c, err := newChannels()
	if err != nil {
		return nil, fmt.Errorf("open worker pipes: %w", err)
	}
	defer c.closeChild()
	cmd := &exec.Cmd{Path: path, Args: []string{spec.Name}}
	cmd.Stdout, cmd.Stderr = c.stderrW, c.stderrW
	handles := inherit(cmd, c.child())
	cmd.Env = append(append(baseEnv(), spec.Env...), Marker+"="+handles)
	harden(cmd)
	confine(cmd, &spec.Confine)
	if err := cmd.Start(); err != nil {
		c.closeHost()
		return nil, explain(err, &spec.Confine)
	}
	p := &Process{
		PID: cmd.Process.Pid, Requests: c.requestsW, Replies: c.repliesR,
		cmd: cmd, control: c.controlW, blobs: c.blobsHost, stderr: newTail(c.stderrR),
		group: spec.Group,
	}
	return p, nil
}

// program resolves what to execute: this program unless path names another.
func program(path string) (string, error) {
	if path != "" {
		return path, nil
	}
	return self()
}

// baseEnv is the environment every worker starts with; the worker clears it. Two
// threads for Go code, because one runs the guest and the other must see the
// control pipe's end; the runtime must not re-read CPU limits from files, which
// a sandboxed worker cannot.
func baseEnv() []string {
	return append([]string{
		"GOMAXPROCS=2",
		"GODEBUG=containermaxprocs=0,updatemaxprocs=0",
		"GOTRACEBACK=single",
	}, systemEnv()...)
}

// Kill ends the process at once. It may be called at any time, also after Wait.
func (p *Process) Kill() {
	// The only error is that the process has ended already.
	_ = p.cmd.Process.Kill()
}

// Control writes b, whole frames, to the control pipe, which the worker reads at
// any time, also in the middle of a call. It may be called at any time; after Stop
// or the worker's end it returns an error. It does not block as long as its
// callers leave at most one frame unread: a pipe holds more.
func (p *Process) Control(b []byte) error {
	_, err := p.control.Write(b)
	return err
}

// Stop asks the process to exit by closing its control pipe. It may be called
// at any time and more than once.
func (p *Process) Stop() {
	p.once.Do(func() { _ = p.control.Close() })
}

// Exited is closed when the process has ended, or closed its standard error, and
// nothing else holds that.
func (p *Process) Exited() <-chan struct{} { return p.stderr.done }

// Wait waits for the process to end, releases everything the host held of it and
// says how it ended. It does not bound the wait: kill first.
func (p *Process) Wait() Exit {
	err := p.cmd.Wait()
	p.Stop()
	_ = p.Requests.Close()
	_ = p.Replies.Close()
	if p.blobs != nil {
		_ = p.blobs.Close()
	}
	exit := exitOf(p.cmd.ProcessState)
	if ee := (*exec.ExitError)(nil); err != nil && !errors.As(err, &ee) {
		exit.Code = -1
	}
	exit.PID = p.PID
	if p.group != nil {
		// What cannot be read or removed is nothing that the caller could mend.
		exit.OutOfMemory, _ = p.group.OutOfMemory()
		_ = p.group.Remove()
	}
	// A process that inherited the pipe may outlive the worker; it is not waited
	// for longer than this.
	exit.Stderr = p.stderr.finish(time.Second)
	return exit
}

// SendsBlobs reports whether SendBlobs works for these blobs, or they have to
// travel through the pipe.
func (p *Process) SendsBlobs(blobs ...*shm.Blob) bool {
	if p.blobs == nil {
		return false
	}
	for _, b := range blobs {
		if b.File() == nil {
			return false
		}
	}
	return true
}

// SendBlobs hands blobs to the worker, in order, through the descriptor channel.
// It does not block: a channel that the worker lets fill up is an error.
func (p *Process) SendBlobs(blobs ...*shm.Blob) error {
	for _, b := range blobs {
		if err := p.SendFile(b.File()); err != nil {
			return err
		}
	}
	return nil
}

// SendFile hands one file over like SendBlobs.
func (p *Process) SendFile(f *os.File) error {
	if err := sendFile(p.blobs, f); err != nil {
		return fmt.Errorf("hand descriptor to worker: %w", err)
	}
	return nil
}
