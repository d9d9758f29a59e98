#include "textflag.h"

// The handler makes the call that threadCall describes, on the thread that got the
// signal. The kernel restores all registers, and returns to rt_sigreturn.
TEXT ·handleCall(SB),NOSPLIT|NOFRAME,$0
	MOVD ·threadCall+0(SB), R8
	MOVD ·threadCall+8(SB), R0
	MOVD ·threadCall+16(SB), R1
	MOVD ·threadCall+24(SB), R2
	MOVD ZR, R3
	MOVD ZR, R4
	MOVD ZR, R5
	SVC
	CBZ R0, done
	MOVW R0, ·threadCall+36(SB)
done:
	MOVD $·threadCall+32(SB), R9
again:
	LDAXRW (R9), R10
	ADDW $1, R10
	STLXRW R10, (R9), R11
	CBNZ R11, again
	RET

// func onCall() (handler, restorer uintptr)
TEXT ·onCall(SB),NOSPLIT,$0-16
	MOVD $·handleCall(SB), R0
	MOVD R0, handler+0(FP)
	MOVD ZR, restorer+8(FP)
	RET
