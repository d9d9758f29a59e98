package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch     = unix.AUDIT_ARCH_AARCH64
	hasX32        = false
	goThreadHere  = 0
	fstatat       = unix.SYS_FSTATAT
	kexecFileLoad = unix.SYS_KEXEC_FILE_LOAD
)

// killedHere: this architecture has none of its own.
var killedHere []entry
