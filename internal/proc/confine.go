package proc

import (
	"errors"

	"github.com/sandpool/sandpool/internal/cgroup"
)

// Confine is what a process has from its start, by its host's doing.
type Confine struct {
	UID, GID   uint32        // the user to run as; 0 for the host's own
	Namespaces bool          // of processes, IPC, names, mounts and network; and of users, unless the host is root
	Group      *cgroup.Group // the control group to start in, which Wait removes; nil for the host's
}

// ErrNoNamespaces is wrapped by Start's error where it is the namespaces that the system
// refuses, or may be.
var ErrNoNamespaces = errors.New("namespaces")

// UserNamespace reports whether Namespaces includes one of users.
func UserNamespace() bool { return userNamespace() }
