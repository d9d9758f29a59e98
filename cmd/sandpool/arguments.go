package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// inputsLast moves the inputs of run behind a "--", for the sake of those that
// begin with a minus: no flag begins with a digit, so -5 is a number and not a
// flag.
func inputsLast(root *cobra.Command, args []string) []string {
	cmd, rest, err := root.Find(args)
	if err != nil || cmd.Name() != "run" {
		return args
	}
	var flags, inputs []string
	for len(rest) > 0 {
		arg := rest[0]
		rest = rest[1:]
		switch {
		case arg == "--" && len(inputs) == 1: // what follows are a command's arguments
			return slices.Concat([]string{"run"}, flags, inputs, []string{"--"}, rest)
		case arg == "--":
			inputs, rest = append(inputs, rest...), nil
		case !strings.HasPrefix(arg, "-"), arg == "-", arg[1] >= '0' && arg[1] <= '9':
			inputs = append(inputs, arg)
		default:
			flags = append(flags, arg)
			if len(rest) > 0 && wantsNext(cmd.Flags(), arg) {
				flags, rest = append(flags, rest[0]), rest[1:]
			}
		}
	}
	return slices.Concat([]string{"run"}, flags, []string{"--"}, inputs)
}

// wantsNext reports whether the argument after the flag arg is its value.
func wantsNext(flags *pflag.FlagSet, arg string) bool {
	if name, long := strings.CutPrefix(arg, "--"); long {
		flag := flags.Lookup(name) // nil for name=value
		return flag != nil && flag.NoOptDefVal == ""
	}
	for i, letter := range arg[1:] {
		flag := flags.ShorthandLookup(string(letter))
		if flag == nil {
			return false
		}
		if flag.NoOptDefVal == "" {
			return i == len(arg)-2
		}
	}
	return false
}
