package wasi

// An errno is the result of a function, by WASI's numbers.
type errno uint32

const (
	errnoSuccess  errno = 0
	errnoBadf     errno = 8
	errnoFault    errno = 21
	errnoInval    errno = 28
	errnoIO       errno = 29
	errnoNosys    errno = 52
	errnoNotsup   errno = 58
	errnoOverflow errno = 61
	errnoSpipe    errno = 70
)
