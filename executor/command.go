package executor

import (
	"github.com/sandpool/sandpool/internal/guestabi"
	"github.com/sandpool/sandpool/internal/wire"
	"github.com/sandpool/sandpool/serialize"
)

// A CommandInput is what one run of a WASI command gets.
type CommandInput struct {
	// Args are the arguments, the command's own name first. At most 1000, and 64 KiB.
	Args []string
	// Env is the environment, each entry "KEY=value"; where a key comes twice the last
	// counts, and the command finds the entries sorted. At most 1000, and 64 KiB.
	Env []string
	// Stdin is what the command reads from standard input. With Args and Env it counts
	// against Limits.Input.
	Stdin []byte
}

// A CommandResult is what became of a run.
type CommandResult struct {
	// Stdout and Stderr are what the command has written. Together they count against
	// Limits.Output.
	Stdout, Stderr []byte
	// ExitCode is 0 if the command has returned from its main function.
	ExitCode int
}

// Command returns the function that runs a WASI command: a module that exports _start,
// as compilers for WASI make of a program. It is called as others are. An exit code
// other than 0 is a result; a trap is a [*GuestError].
//
// A command ends with its run, so that each gets a new instance of the module, which is
// compiled once: [startmethod.Precompiled], also where Snapshot or Warm is asked for.
// Grants other than Args, Env and Stdin, which CommandInput has, and the other fields of
// the Func can be set in the value that Command returns. [Options.Initializer] does not
// run for commands. Nothing that a command prints goes to [Options.GuestLog].
func Command(m *serialize.Module) Func[CommandInput, CommandResult] {
	return Func[CommandInput, CommandResult]{Module: m, Name: guestabi.ExportStart, command: true}
}

// checkCommand reports grants that a command gets in another way.
func (g Grants) checkCommand() error {
	for option, set := range map[string]bool{"Args": g.Args != nil, "Env": g.Env != nil, "Stdin": g.Stdin != nil} {
		if set {
			return &OptionError{"Func.Grants." + option, "a command has those of its CommandInput"}
		}
	}
	return nil
}

// payload returns the payload of the CALL that runs a command.
func (in CommandInput) payload(l Limits) ([]byte, error) {
	args, err := joinTexts("CommandInput.Args", in.Args)
	if err != nil {
		return nil, err
	}
	env, err := joinEnv("CommandInput.Env", in.Env)
	if err != nil {
		return nil, err
	}
	b, err := wire.Marshal(wire.Command{Args: splitTexts(args), Env: splitTexts(env)})
	if err != nil {
		return nil, err
	}
	return withStdin(in.Stdin, b, l)
}

// onceOnly says why an instance cannot serve another call after one for the target,
// whatever the module; it is empty if it can.
func (t *target) onceOnly() string {
	if t.command {
		return "a command's instance ends with its run"
	}
	if t.world.dirs != "" {
		return "files that a guest has opened cannot be put back"
	}
	return ""
}

// commandOverhead is what a RESULT of a command has besides what it has written, in
// bytes, at most.
const commandOverhead = 64
