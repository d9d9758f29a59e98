package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch     = unix.AUDIT_ARCH_X86_64
	hasX32        = true
	goThreadHere  = unix.CLONE_SETTLS
	fstatat       = unix.SYS_NEWFSTATAT
	kexecFileLoad = unix.SYS_KEXEC_FILE_LOAD
)

// killedHere are calls of killed that other architectures do not have.
var killedHere = []entry{
	{name: "fork", nr: unix.SYS_FORK},
	{name: "vfork", nr: unix.SYS_VFORK},
	{name: "uselib", nr: unix.SYS_USELIB},
	{name: "iopl", nr: unix.SYS_IOPL},
	{name: "ioperm", nr: unix.SYS_IOPERM},
	{name: "modify_ldt", nr: unix.SYS_MODIFY_LDT},
}
