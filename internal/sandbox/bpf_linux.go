//go:build amd64 || arm64

package sandbox

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
	dataArgs   = 16
)

// What a filter says of a call.
const (
	allow   = unix.SECCOMP_RET_ALLOW
	kill    = unix.SECCOMP_RET_KILL_PROCESS
	refusal = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS) // C libraries fall back to older calls
)

// x32 marks numbers of amd64's second set of calls.
const x32 = 0x40000000

// A check is a condition on an argument's lower half, which is all that the kernel
// looks at in those that are checked.
type check struct {
	arg    int
	mask   uint32   // bits that count
	values []uint32 // one of which they have to be
}

// A rule is about one system call. It is allowed in several ways: if all checks of
// one hold. One without checks always is.
type rule struct {
	nr        uintptr
	ways      [][]check
	otherwise uint32
}

// assemble returns the program that applies the rules and refuses every call that
// there is none for.
func assemble(rules []rule) []unix.SockFilter {
	p := program{
		load(dataArch),
		jumpEqual(auditArch, 1, 0),
		ret(kill),
		load(dataNumber),
	}
	if hasX32 {
		p = append(p, jump(unix.BPF_JGE, x32, 0, 1), ret(kill))
	}
	for _, r := range rules {
		p.rule(r)
	}
	return append(p, ret(refusal))
}

type program []unix.SockFilter

func (p *program) rule(r rule) {
	var body program
	for _, way := range r.ways {
		body.way(way)
	}
	body = append(body, ret(r.otherwise))
	*p = append(*p, jumpEqual(uint32(r.nr), 0, len(body)))
	*p = append(*p, body...)
}

// way allows the call if all checks hold, and goes on if not.
func (p *program) way(checks []check) {
	rest := program{ret(allow)}
	for _, c := range slices.Backward(checks) {
		rest = append(checked(c, len(rest)), rest...)
	}
	*p = append(*p, rest...)
}

// checked goes on if c holds, and skips what follows if not.
func checked(c check, skip int) program {
	p := program{load(argument(c.arg))}
	if c.mask != all {
		p = append(p, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: c.mask})
	}
	for i, v := range c.values {
		if i < len(c.values)-1 {
			p = append(p, jumpEqual(v, len(c.values)-1-i, 0))
		} else {
			p = append(p, jumpEqual(v, 0, skip))
		}
	}
	return p
}

// argument returns the offset of the lower half of an argument.
func argument(n int) uint32 {
	at := uint32(dataArgs + 8*n)
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		at += 4
	}
	return at
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func ret(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}

func jumpEqual(k uint32, yes, no int) unix.SockFilter { return jump(unix.BPF_JEQ, k, yes, no) }

func jump(op uint16, k uint32, yes, no int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, Jt: uint8(yes), Jf: uint8(no), K: k}
}
