package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/sandpool/sandpool/internal/engine"
)

// toolVersion returns the version this program was built from.
func toolVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

func newVersion(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of sandpool, Go and the WebAssembly engine",
		Args:  wantArgs("no arguments", 0, 0),
		RunE: func(*cobra.Command, []string) error {
			text := fmt.Sprintf("sandpool %s%s\ngo       %s %s/%s\nengine   %s %s\n",
				toolVersion(), revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH, engine.Module, engine.Version())
			return s.write([]byte(text))
		},
	}
}

// revision returns the commit that version control knew of, in parentheses.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	text := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			text = " (" + s.Value + text
		case s.Key == "vcs.modified" && s.Value == "true":
			text += ", modified"
		}
	}
	if text != "" {
		text += ")"
	}
	return text
}
