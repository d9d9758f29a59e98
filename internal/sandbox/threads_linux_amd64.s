#include "textflag.h"

// The handler makes the call that threadCall describes, on the thread that got the
// signal. The kernel restores all registers.
TEXT ·handleCall(SB),NOSPLIT|NOFRAME,$0
	MOVQ ·threadCall+0(SB), AX
	MOVQ ·threadCall+8(SB), DI
	MOVQ ·threadCall+16(SB), SI
	MOVQ ·threadCall+24(SB), DX
	XORL R10, R10
	XORL R8, R8
	XORL R9, R9
	SYSCALL
	TESTQ AX, AX
	JZ done
	MOVL AX, ·threadCall+36(SB)
done:
	MOVL $1, CX
	LOCK
	XADDL CX, ·threadCall+32(SB)
	RET

// What the handler returns to: rt_sigreturn.
TEXT ·handledCall(SB),NOSPLIT|NOFRAME,$0
	MOVQ $15, AX
	SYSCALL
	INT $3

// func onCall() (handler, restorer uintptr)
TEXT ·onCall(SB),NOSPLIT,$0-16
	LEAQ ·handleCall(SB), AX
	MOVQ AX, handler+0(FP)
	LEAQ ·handledCall(SB), AX
	MOVQ AX, restorer+8(FP)
	RET
