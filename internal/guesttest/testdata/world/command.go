package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// main is the command: it does what its arguments say, one after another.
func main() {
	for _, arg := range os.Args[1:] {
		word, rest, _ := strings.Cut(arg, ":")
		switch word {
		case "args":
			fmt.Printf("%q\n", os.Args)
		case "env":
			fmt.Printf("%q\n", os.Environ())
		case "cat":
			n, err := io.Copy(os.Stdout, io.MultiReader(strings.NewReader(atInit.Stdin), os.Stdin)) // init has read it
			fmt.Fprintln(os.Stderr, n, err)
		case "read":
			b, err := os.ReadFile(rest)
			fmt.Printf("%s%v\n", b, err)
		case "flood":
			n, _ := strconv.Atoi(rest)
			for range n {
				fmt.Println(strings.Repeat("x", 1023))
			}
		case "exit":
			code, _ := strconv.Atoi(rest)
			os.Exit(code)
		case "panic":
			panic(rest)
		case "trap":
			select {} // the runtime notices
		case "spin":
			for {
			}
		default:
			fmt.Fprintln(os.Stderr, "unknown:", arg)
			os.Exit(2)
		}
	}
}
