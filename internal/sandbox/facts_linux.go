package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Facts describes the system, as far as sandboxes depend on it.
func Facts() []Fact {
	facts := []Fact{{"kernel", release()}}
	if abi, err := landlockABI(); err != nil {
		facts = append(facts, Fact{"Landlock", "none: " + err.Error()})
	} else {
		facts = append(facts, Fact{"Landlock", fmt.Sprintf("ABI %d", abi)})
	}
	return append(facts,
		Fact{"seccomp actions", setting("/proc/sys/kernel/seccomp/actions_avail")},
		Fact{"user namespaces", "at most " + setting("/proc/sys/user/max_user_namespaces")},
		Fact{"control groups", groupFact()},
	)
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err.Error()
	}
	return unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
}

// setting returns what a file of the kernel's holds, or why it cannot be read.
func setting(path string) string {
	text, err := os.ReadFile(path)
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return "unknown: " + e.Error()
	}
	return strings.TrimSpace(string(text))
}

// groupFact says which hierarchy there is: only version 2 can be delegated.
func groupFact() string {
	const root = "/sys/fs/cgroup"
	for _, dir := range []string{root, root + "/unified"} {
		text, err := os.ReadFile(dir + "/cgroup.controllers")
		if err != nil {
			continue
		}
		if c := strings.TrimSpace(string(text)); c != "" {
			return "version 2 at " + dir + ": " + c
		}
		return "version 2 at " + dir + ", without controllers"
	}
	return "no version 2 at " + root
}
