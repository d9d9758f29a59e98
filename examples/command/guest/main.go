// Command guest is an ordinary program: it prints the files below a directory that
// contain a text, and exits with 1 when there is none. Build it with
//
//	GOOS=wasip1 GOARCH=wasm go build -o grep.wasm ./guest
package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: grep TEXT DIRECTORY")
		os.Exit(2)
	}
	found := false
	root := os.DirFS(os.Args[2])
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := fs.ReadFile(root, path)
		if err == nil && bytes.Contains(content, []byte(os.Args[1])) {
			found = true
			fmt.Println(path)
		}
		return err
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if !found {
		os.Exit(1)
	}
}
