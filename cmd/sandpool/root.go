package main

import (
	"strings"

	"github.com/spf13/cobra"
)

const rootHelp = `Sandpool runs functions compiled to WebAssembly in sandboxed worker processes.

` + statusHelp

const rootExamples = `  sandpool inspect wordcount.wasm
  sandpool run wordcount.wasm count '"to be or not to be"'
  sandpool run wordcount.wasm count --string @book.txt
  sandpool run wordcount.wasm count < texts.jsonl > counts.jsonl`

// newRoot returns the command tree.
func newRoot(s *streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "sandpool",
		Short:         "Run functions compiled to WebAssembly in sandboxed processes",
		Long:          rootHelp,
		Example:       rootExamples,
		Version:       toolVersion(),
		Args:          cobra.ArbitraryArgs, // RunE says what is wrong with them
		SilenceErrors: true,                // streams.report prints them
		SilenceUsage:  true,
	}
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("no command given; sandpool --help lists them")
		}
		text := ""
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			text = "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return usagef("unknown command %q%s", args[0], text)
	}
	root.SuggestionsMinimumDistance = 2
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetVersionTemplate("sandpool {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w (%s --help lists the flags)", err, cmd.CommandPath())
	})
	root.Flags().Bool("version", false, "print the version and exit")
	root.AddCommand(newRun(s), newInspect(s), newSign(s), newKeygen(s), newVersion(s), newDoctor(s))
	return root
}

// wantArgs returns the check that a command has at least least arguments, named
// by names, and no more than most unless that is negative.
func wantArgs(names string, least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return usagef("%s wants %s, got %s (see %s --help)", cmd.CommandPath(), names, count(len(args), "argument"), cmd.CommandPath())
		}
		return nil
	}
}
