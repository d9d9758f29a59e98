package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

const namespaces = syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET

// userNamespace: without one only root may have the others. In it no user is mapped,
// so that the process is nobody in particular there.
func userNamespace() bool { return os.Geteuid() != 0 }

func confine(cmd *exec.Cmd, c *Confine) {
	attr := cmd.SysProcAttr
	if c.UID != 0 {
		attr.Credential = &syscall.Credential{Uid: c.UID, Gid: c.GID}
	}
	if c.Namespaces {
		attr.Cloneflags = namespaces
		if userNamespace() {
			attr.Cloneflags |= syscall.CLONE_NEWUSER
		}
	}
	if c.Group != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(c.Group.File().Fd())
	}
}

// explain tells an error about namespaces from others.
func explain(err error, c *Confine) error {
	if !c.Namespaces {
		return err
	}
	for _, refused := range []error{syscall.EPERM, syscall.ENOSPC, syscall.EINVAL, syscall.EUSERS, syscall.ENOSYS} {
		if errors.Is(err, refused) {
			return fmt.Errorf("%w: %w", ErrNoNamespaces, err)
		}
	}
	return err
}
