package sandbox

// restorerFlag is SA_RESTORER: this architecture demands that a handler says what
// it returns to.
const restorerFlag = 0x04000000
