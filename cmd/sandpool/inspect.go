package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
)

const inspectHelp = `Inspect shows what is in a module: its digest, size and memory, with --trust who
signed it, what it imports and exports, and whether workers can run its functions. It then asks the module for
the functions it registers, by one call in a worker, which also shows how calls get
their instances and why not by the start method asked for; --no-run leaves that out, and
nothing of the module is executed.

Any module can be inspected, not only those that Sandpool can run. What a module
says of itself, its functions and their types, is for it to answer for.

`

const inspectExamples = `  sandpool inspect wordcount.wasm
  sandpool inspect --json wordcount.wasm | jq -r '.functions[].name'
  sandpool inspect --no-run untrusted.wasm
  sandpool inspect --trust release.key.pub wordcount.wasm`

// A report is what inspect knows of a module. It is what --json prints: members
// are added, never renamed.
type report struct {
	Module   string    `json:"module"`
	Digest   string    `json:"digest"`             // as --digest takes it
	Size     int       `json:"size"`               // bytes
	SignedBy string    `json:"signedBy,omitempty"` // the key of --trust that has signed it
	CodeSize int       `json:"codeSize"`
	Memory   *memory   `json:"memory"`   // null for none
	Features []string  `json:"features"` // needed beyond WebAssembly 2.0
	Custom   []string  `json:"customSections"`
	Guest    bool      `json:"guest"`             // has the exports of the guest interface
	Command  bool      `json:"command,omitempty"` // workers run it as a WASI command
	Runnable bool      `json:"runnable"`          // workers would take it
	Reason   string    `json:"reason,omitempty"`  // why it is not runnable
	Imports  []symbol  `json:"imports"`
	Exports  []symbol  `json:"exports"`
	Start    string    `json:"startMethod,omitempty"`   // how its calls get an instance
	Fallback string    `json:"fallback,omitempty"`      // why that is not the method asked for
	SDK      string    `json:"sdk,omitempty"`           // what the guest says it was built with
	Funcs    *[]signed `json:"functions"`               // null when they are not known
	Host     []signed  `json:"hostFunctions,omitempty"` // that the guest says it calls
	Error    string    `json:"error,omitempty"`
}

type memory struct {
	MinPages uint64  `json:"minPages"` // of 64 KiB
	MaxPages *uint64 `json:"maxPages"` // null when the module declares none
}

type symbol struct {
	Module string `json:"module,omitempty"` // of an import
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Type   string `json:"type,omitempty"` // of a function
}

type signed struct {
	Name string `json:"name"`
	In   string `json:"in"`
	Out  string `json:"out"`
}

// An inspector is the inspect command.
type inspector struct {
	*streams
	settings

	json  bool
	noRun bool
}

func newInspect(s *streams) *cobra.Command {
	i := &inspector{streams: s}
	cmd := &cobra.Command{
		Use:     "inspect MODULE",
		Short:   "Show a module's functions, imports and needs",
		Long:    inspectHelp + statusHelp,
		Example: inspectExamples,
		Args:    wantArgs("MODULE", 1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return i.run(cmd.Context(), args[0])
		},
	}
	f := cmd.Flags()
	f.BoolVar(&i.json, "json", false, "print one JSON object instead of text")
	f.BoolVar(&i.noRun, "no-run", false, "execute nothing of the module: leave its registered functions out")
	i.workers = 1
	i.add(cmd)
	return cmd
}

// run prints the report even when the functions cannot be had; the error says
// why not.
func (i *inspector) run(ctx context.Context, path string) error {
	m, err := i.load(path)
	if err != nil {
		return err
	}
	r := newReport(m)
	var failure error
	if r.Runnable && !r.Command && !i.noRun {
		if failure = i.describe(ctx, m, r); ctx.Err() != nil {
			return failure
		}
	}
	text := r.text()
	if i.json {
		if text, err = encodeJSON(r, "  "); err != nil {
			return err
		}
	}
	if err := i.write(text); err != nil {
		return err
	}
	return failure
}

// describe adds what the module says in a worker.
func (i *inspector) describe(ctx context.Context, m *serialize.Module, r *report) error {
	ex, err := i.executor(i.streams)
	if err != nil {
		return err
	}
	defer shut(ctx, ex)
	d, err := executor.Describe(ctx, ex, m)
	if err != nil {
		r.Error = err.Error()
		return err
	}
	functions := make([]signed, 0, len(d.Functions))
	for _, f := range d.Functions {
		functions = append(functions, signed(f))
	}
	r.SDK, r.Funcs = d.SDK, &functions
	for _, f := range d.Host {
		r.Host = append(r.Host, signed(f))
	}
	r.Start, r.Fallback = string(d.StartMethod), d.Fallback
	return nil
}

// newReport returns what a scan knows.
func newReport(m *serialize.Module) *report {
	s := m.Summary()
	r := &report{
		Module:   m.Name(),
		Digest:   m.Digest(),
		Size:     m.Size(),
		CodeSize: s.CodeSize,
		Features: append([]string{}, s.Features...), // [] and not null when empty, here and below
		Custom:   append([]string{}, s.Custom...),
		Guest:    s.Guest,
		Runnable: true,
		Imports:  symbols(s.Imports),
		Exports:  symbols(s.Exports),
	}
	if key := m.SignedBy(); key != nil {
		r.SignedBy = publicText(key)
	}
	if s.Memory != nil {
		r.Memory = &memory{MinPages: s.Memory.Min}
		if s.Memory.HasMax {
			r.Memory.MaxPages = &s.Memory.Max
		}
	}
	r.Command = m.CheckCommand() == nil
	if err := m.Check(); err != nil && !r.Command {
		r.Runnable, r.Reason = false, err.Error()
	} else if err := m.CheckSnapshot(); err != nil && !r.Command {
		r.Fallback = err.Error()
	}
	return r
}

func symbols(from []serialize.Symbol) []symbol {
	list := make([]symbol, 0, len(from))
	for _, s := range from {
		list = append(list, symbol(s))
	}
	return list
}
