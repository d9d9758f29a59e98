package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/sandpool/sandpool/bench/internal/measure"
	"github.com/sandpool/sandpool/bench/internal/workerprofile"
	"github.com/sandpool/sandpool/executor"
)

// profile runs one side of Sandpool's in a row alone, with one worker, and writes a
// profile of this process and one of the worker's: see package workerprofile, which
// says why the worker has no sandbox then.
func (f *flags) profile(ctx context.Context, out io.Writer, name, side string) error {
	f.rows = []string{name}
	some, err := f.chosen(append(rows(), scaleRows()...))
	if err != nil {
		return err
	}
	l, err := newLab(ctx, f.src, f.out)
	if err != nil {
		return err
	}
	dir, err := dirOf(l.out, "profile")
	if err != nil {
		return err
	}
	s := new(sandpool)
	if _, err := s.setup(ctx, l); err != nil {
		return err
	}
	j := some[0].job
	j.Workers = 1
	fmt.Fprintf(out, "%s: %v of sandpool %s, with one worker and without the sandbox\n", some[0].name, workerprofile.Time, side)
	// What is compiled and captured is in the cache then, or takes its time before.
	if err := once(ctx, s, j, side, measure.Box{Time: f.box, Calls: 1}); err != nil {
		return err
	}
	pipe, err := makeFIFO(dir)
	if err != nil {
		return err
	}
	defer os.Remove(pipe)
	s.profile = &executor.Options{
		Sandbox: executor.NoSandbox, Env: []string{workerprofile.Variable + "=" + pipe},
		CallsPerWorker: -1, // or it would be replaced before its profile is done
	}
	worker, err := profiles(ctx, filepath.Join(dir, "host.pb.gz"), pipe, func(ctx context.Context) error {
		return once(ctx, s, j, side, measure.Box{Time: workerprofile.Time + 2*time.Second, Calls: 1 << 40})
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "worker.pb.gz"), worker, 0o600); err != nil {
		return err
	}
	for _, file := range []string{"host", "worker"} {
		fmt.Fprintf(out, "go tool pprof -top %s\n", filepath.Join(dir, file+".pb.gz"))
	}
	return nil
}

// once opens the side with that label, runs a box and closes it.
func once(ctx context.Context, s *sandpool, j measure.Job, label string, b measure.Box) error {
	sides, why := s.sides(j)
	if len(sides) == 0 {
		return errors.New(why)
	}
	i := slices.IndexFunc(sides, func(s side) bool { return s.label == label })
	if i < 0 {
		return fmt.Errorf("the row has no line %q of sandpool's", label)
	}
	cell, err := sides[i].open(ctx)
	if err != nil {
		return err
	}
	_, err = cell.Run(ctx, b)
	return errors.Join(err, cell.Close())
}

// profiles profiles this process while run does, and returns what a worker writes into
// the pipe meanwhile.
func profiles(ctx context.Context, host, pipe string, run func(context.Context) error) (worker []byte, err error) {
	file, err := os.Create(host)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// Open for both, so that neither this nor the worker's own open waits; it ends with Close.
	fifo, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	read := make(chan []byte, 1) // what was read
	go func() {                  // ends with the pipe
		b, _ := io.ReadAll(fifo) // it ends with Close, which is an error
		read <- b
	}()
	if err := pprof.StartCPUProfile(file); err != nil {
		fifo.Close()
		<-read
		return nil, err
	}
	err = run(ctx)
	pprof.StopCPUProfile()
	fifo.Close()
	if worker = <-read; err == nil && len(worker) == 0 {
		err = errors.New("the worker has written no profile: did it live long enough?")
	}
	return worker, err
}
