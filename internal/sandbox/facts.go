package sandbox

// A Fact is something about the system that sandboxes depend on.
type Fact struct{ Name, Value string }
