package sandbox

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// landlockABI returns the version of Landlock that the kernel has.
func landlockABI() (int, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch {
	case errno == unix.ENOSYS:
		return 0, errors.New("the kernel has none (5.13 is the first that can)")
	case errno == unix.EOPNOTSUPP:
		return 0, errors.New("not among the security modules that the kernel was started with")
	case errno != 0:
		return 0, errno
	}
	return int(abi), nil
}

// The rights that versions of Landlock know, all of which are taken away.
const (
	filesV1 = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1
	tcp     = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	udp     = unix.LANDLOCK_ACCESS_NET_BIND_UDP | unix.LANDLOCK_ACCESS_NET_CONNECT_SEND_UDP
	scopes  = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL

	allThreadsABI = 8 // the kernel restricts all threads by itself
)

func rights(abi int) unix.LandlockRulesetAttr {
	a := unix.LandlockRulesetAttr{Handled_access_fs: filesV1}
	for _, more := range []struct {
		abi                int
		files, net, scopes uint64
	}{
		{2, unix.LANDLOCK_ACCESS_FS_REFER, 0, 0},
		{3, unix.LANDLOCK_ACCESS_FS_TRUNCATE, 0, 0},
		{4, 0, tcp, 0},
		{5, unix.LANDLOCK_ACCESS_FS_IOCTL_DEV, 0, 0},
		{6, 0, 0, scopes},
		{9, unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX, 0, 0},
		{10, 0, udp, 0},
	} {
		if abi >= more.abi {
			a.Handled_access_fs |= more.files
			a.Handled_access_net |= more.net
			a.Scoped |= more.scopes
		}
	}
	return a
}

// What is given back below a directory, as far as the kernel knows it.
const (
	mayRead  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	mayWrite = mayRead | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE |
		unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_DIR |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REFER
)

// allow adds the rule of a directory to a ruleset of the rights handled.
func (d Dir) allow(ruleset uintptr, handled uint64) error {
	rule := unix.LandlockPathBeneathAttr{Allowed_access: mayRead & handled, Parent_fd: int32(d.File.Fd())}
	if d.Writable {
		rule.Allowed_access = mayWrite & handled
	}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, ruleset, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("add a rule: %w", errno)
	}
	return nil
}

// landlock takes every right away that the kernel's Landlock knows, but what is below
// the directories.
func (t *threads) landlock(dirs []Dir) error {
	abi, err := landlockABI()
	if err != nil {
		return err
	}
	attr := rights(abi)
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return fmt.Errorf("create a ruleset of ABI %d: %w", abi, errno)
	}
	defer unix.Close(int(fd)) //nolint:errcheck // nothing was written
	for _, d := range dirs {
		if err := d.allow(fd, attr.Handled_access_fs); err != nil {
			return err
		}
	}
	if abi >= allThreadsABI {
		_, _, errno = unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, unix.LANDLOCK_RESTRICT_SELF_TSYNC, 0)
		if errno != 0 {
			return errno
		}
		return nil
	}
	return t.call(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0)
}
