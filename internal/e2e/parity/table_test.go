package parity_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the module's directory.
const root = "../../.."

// packages hold the tests of the table in docs/differences-from-loky.md.
var packages = []string{"internal/e2e/parity", "executor", "internal/cpus"}

// parityTest is the name of a test of a row, with the row's code. The target
// "parity" of the Makefile has the same.
var parityTest = regexp.MustCompile(`^Test([SWEFDKRGOBCPXT][0-9]+)_`)

// testsInSources are the names of the parity tests, for every system.
func testsInSources(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, pkg := range packages {
		files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files, pkg)
		for _, path := range files {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && parityTest.MatchString(f.Name.Name) {
					require.False(t, names[f.Name.Name], "%s is there twice", f.Name)
					names[f.Name.Name] = true
				}
			}
		}
	}
	return names
}

// TestTable keeps the table true: it has each test, in its row, and no other.
func TestTable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs/differences-from-loky.md"))
	require.NoError(t, err)
	code := regexp.MustCompile(`^[A-Z][0-9]+$`)
	name := regexp.MustCompile("`(Test[^`]*)`")
	listed, rows := make(map[string]bool), make(map[string]bool)
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) < 6 {
			require.NotRegexp(t, name, line, "a test outside the table")
			continue
		}
		row := strings.TrimSpace(cells[1])
		if !code.MatchString(row) {
			continue // a table's head
		}
		require.Len(t, cells, 6, "row %s", row)
		require.False(t, rows[row], "row %s is there twice", row)
		rows[row] = true
		for _, cell := range cells[2:5] {
			for _, m := range name.FindAllStringSubmatch(cell, -1) {
				test := parityTest.FindStringSubmatch(m[1])
				require.NotNil(t, test, "%s is no parity test", m[1])
				require.Equal(t, row, test[1], "%s is in the row %s", m[1], row)
				listed[m[1]] = true
			}
		}
	}
	tests := testsInSources(t)
	for name := range listed {
		require.True(t, tests[name], "%s is in the table only", name)
	}
	for name := range tests {
		require.True(t, listed[name], "%s is not in the table", name)
	}
}

// TestTable_sentences looks for the tests that loky's page on serialization has, sentence
// by sentence.
func TestTable_sentences(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs/differences-from-loky.md"))
	require.NoError(t, err)
	row, name := regexp.MustCompile(`^\| [0-9]+ \|`), regexp.MustCompile("`(Test[^`]*)`")
	there, rows := make(map[string]bool), 0
	for _, pkg := range []string{"executor", "internal/codecs", "internal/e2e/parity", "serialize", "serialize/msgpack", "serialize/protobuf"} {
		files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
		require.NoError(t, err)
		for _, path := range files {
			source, err := os.ReadFile(path)
			require.NoError(t, err)
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(source, -1) {
				there[string(m[1])] = true
			}
		}
	}
	for line := range strings.Lines(string(page)) {
		if !row.MatchString(line) {
			continue
		}
		rows++
		tests := name.FindAllStringSubmatch(line, -1)
		require.NotEmpty(t, tests, line)
		for _, m := range tests {
			require.True(t, there[m[1]], "there is no %s", m[1])
		}
	}
	require.Equal(t, 10, rows)
}

// TestTable_makefile keeps the Makefile's idea of these tests the same.
func TestTable_makefile(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	for _, want := range append([]string{"^Test(S|W|E|F|D|K|R|G|O|B|C|P|X|T)[0-9]+_"}, packages...) {
		require.Contains(t, string(makefile), want)
	}
}
