package startmethod

// haveFork says whether fork and forkserver are names of methods: not where no
// process can be forked, as in loky.
const haveFork = false
