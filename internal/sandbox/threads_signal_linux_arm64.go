package sandbox

// restorerFlag: the kernel supplies what a handler returns to.
const restorerFlag = 0
