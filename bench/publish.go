package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// The marks between which a page has what publish puts there.
const (
	publishBegin = "<!-- bench: what make bench-publish writes begins -->\n"
	publishEnd   = "<!-- bench: and ends -->\n"
)

// publish puts a run into a page between its marks, and the charts into the folder img
// beside it.
func publish(resultsPath, page string) error {
	r, err := readResults(resultsPath)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	charts := chartRows()
	r.markdown(&b, "img", charts)
	text, err := between(old, b.Bytes())
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	if err := r.charts(filepath.Join(filepath.Dir(page), "img"), charts); err != nil {
		return err
	}
	return os.WriteFile(page, text, 0o644) //nolint:gosec // it is to be read
}

// between replaces what is between the marks.
func between(page, text []byte) ([]byte, error) {
	before, rest, ok := bytes.Cut(page, []byte(publishBegin))
	_, after, ok2 := bytes.Cut(rest, []byte(publishEnd))
	if !ok || !ok2 {
		return nil, fmt.Errorf("no place for the results: it needs the lines %q and %q", publishBegin, publishEnd)
	}
	return bytes.Join([][]byte{before, []byte(publishBegin), []byte("\n"), text, []byte("\n"), []byte(publishEnd), after}, nil), nil
}
