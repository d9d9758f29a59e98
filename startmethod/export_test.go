package startmethod

// ParseWithoutFork is Parse on Windows.
func ParseWithoutFork(name string) (Method, error) { return parse(name, false) }
