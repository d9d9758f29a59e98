package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/quote"
	"github.com/sandpool/sandpool/internal/sandbox"
)

const doctorHelp = `Doctor starts a worker and prints a table of its sandbox: each mechanism, whether it is
in force here, and if not why. Facts about the system follow.

It fails if a mechanism is missing, so that scripts can rely on it.`

// about says what each mechanism is for.
var about = map[string]string{
	sandbox.Environment: "no environment variables",
	sandbox.Descriptors: "no inherited files",
	sandbox.Rlimits:     "no core dumps, file writes, locked memory; few descriptors",
	sandbox.Memory:      "bounded private memory",
	sandbox.NotDumpable: "cannot be traced or read by the same user",
	sandbox.NoNewPrivs:  "no rights from other programs",
	sandbox.ParentDeath: "dies with its host",
	sandbox.Caps:        "no capabilities, also under root",
	sandbox.Landlock:    "no files, TCP ports or other processes",
	sandbox.Seccomp:     "few system calls; an attacker's kill it",
	"namespaces":        "own processes, IPC, names, mounts, network",
	"cgroup":            "bounded memory, threads and CPU time",
}

func newDoctor(s *streams) *cobra.Command {
	var strict, namespaces bool
	var group string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Print what sandbox workers have on this machine",
		Long:  doctorHelp,
		Args:  wantArgs("no arguments", 0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := executor.Options{Workers: 1, CacheDir: executor.NoCacheDir, Namespaces: namespaces, Cgroup: group}
			if strict {
				o.Sandbox = executor.Strict
			}
			return doctor(cmd.Context(), s, &o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&strict, "strict", false, "refuse the worker when something is missing, as Options.Sandbox = Strict does")
	f.BoolVar(&namespaces, "namespaces", false, "with Options.Namespaces")
	f.StringVar(&group, "cgroup", "", "with Options.Cgroup, a delegated `directory` of cgroup v2")
	return cmd
}

func doctor(ctx context.Context, s *streams, o *executor.Options) (err error) {
	ex, err := executor.New(o)
	if err != nil {
		return &statusError{statusSystem, err}
	}
	defer func() { err = cmp.Or(err, ex.Close()) }()
	if err := ex.Prewarm(ctx, 1); err != nil {
		return &statusError{statusSystem, err}
	}
	stats := ex.Stats()
	if err := s.write(doctorTable(stats.Sandbox, stats.SandboxMissing)); err != nil {
		return err
	}
	if n := len(stats.SandboxMissing); n > 0 {
		return &statusError{statusSystem, fmt.Errorf("%s of the sandbox missing", count(n, "mechanism"))}
	}
	return nil
}

// doctorTable is what doctor prints.
func doctorTable(inForce, missing []string) []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MECHANISM\tSTATE\tWHAT OR WHY")
	for _, name := range slices.Sorted(slices.Values(inForce)) {
		fmt.Fprintf(w, "%s\tin force\t%s\n", quote.Line(name), about[name])
	}
	for _, m := range slices.Sorted(slices.Values(missing)) {
		name, reason, _ := strings.Cut(m, ": ")
		fmt.Fprintf(w, "%s\tMISSING\t%s\n", quote.Line(name), quote.Line(reason))
	}
	fmt.Fprintln(w, "\t\t\nSYSTEM\t\t")
	for _, f := range sandbox.Facts() {
		fmt.Fprintf(w, "%s\t\t%s\n", f.Name, quote.Line(f.Value))
	}
	_ = w.Flush() // to memory
	return b.Bytes()
}
