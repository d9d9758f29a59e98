package codecache

// checkPrivate leaves access to the system's defaults: a user's cache directory
// is private on Windows, and modes do not show it.
func checkPrivate(string) error { return nil }
