package guestabi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/internal/guestabi"
)

func TestParseDescription(t *testing.T) {
	t.Parallel()
	var list strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&list, `{"name":"f%d"},`, i)
	}
	for name, tc := range map[string]struct {
		in        string
		functions []string
	}{
		"of ABI.md": {`{"sdk": "hand-written", "functions": [
			{"name": "echo", "in": "bytes", "out": "bytes"},
			{"name": "count", "in": "string", "out": "map[string]int"}
		]}`, []string{"echo", "count"}},
		"empty":             {`{}`, nil},
		"no functions":      {`{"sdk":"x","functions":[]}`, nil},
		"null members":      {`{"sdk":null,"functions":null}`, nil},
		"unknown members":   {`{"new":{"a":[1]},"functions":[{"name":"f","doc":"text"}]}`, []string{"f"}},
		"every name byte":   {`{"functions":[{"name":"azAZ09_-./:"}]}`, []string{"azAZ09_-./:"}},
		"longest name":      {`{"functions":[{"name":"` + strings.Repeat("x", 128) + `"}]}`, []string{strings.Repeat("x", 128)}},
		"longest text":      {`{"sdk":"` + strings.Repeat("é", 2048) + `"}`, nil},
		"names by case":     {`{"functions":[{"name":"f"},{"name":"F"}]}`, []string{"f", "F"}},
		"space around":      {" \n{}\n ", nil},
		"escaped name":      {`{"functions":[{"name":"\u0066"}]}`, []string{"f"}},
		"host functions":    {`{"functions":[{"name":"f"}],"host":[{"name":"f","in":"string","out":"bytes?"},{"name":"g"}]}`, []string{"f"}},
		"null host":         {`{"host":null}`, nil},
		"types of any text": {`{"functions":[{"name":"f","in":"\u001b[31m\n"}]}`, []string{"f"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := guestabi.ParseDescription([]byte(tc.in))
			require.NoError(t, err)
			var names []string
			for _, f := range d.Functions {
				names = append(names, f.Name)
			}
			require.Equal(t, tc.functions, names, "in the order of the list")
		})
	}
	d, err := guestabi.ParseDescription([]byte(`{"functions":[` + strings.TrimSuffix(list.String(), ",") + `]}`))
	require.NoError(t, err)
	require.Len(t, d.Functions, 20_000)
}

func TestParseDescription_refusals(t *testing.T) {
	t.Parallel()
	named := func(name string) string { return `{"functions":[{"name":` + name + `}]}` }
	for name, tc := range map[string]struct{ in, want string }{
		"nothing":          {"", "unexpected end"},
		"not JSON":         {"sdk: go", "invalid character"},
		"cut short":        {`{"functions":[{"name":"f"}`, "unexpected end"},
		"two objects":      {`{}{}`, "after top-level"},
		"null":             {"null", "null is no object"},
		"array":            {"[]", "cannot unmarshal"},
		"string":           {`"{}"`, "cannot unmarshal"},
		"functions object": {`{"functions":{}}`, "cannot unmarshal"},
		"name is a number": {named("1"), "cannot unmarshal"},
		"null function":    {`{"functions":[null]}`, "function 0: a name of 0 bytes"},
		"no name":          {`{"functions":[{"name":"f"},{"in":"bytes"}]}`, "function 1: a name of 0 bytes"},
		"long name":        {named(`"` + strings.Repeat("x", 129) + `"`), "129 bytes (1 to 128 allowed)"},
		"huge name":        {named(`"` + strings.Repeat("x", 1<<20) + `"`), "1048576 bytes"},
		"space":            {named(`"a b"`), `"a b"`},
		"newline":          {named(`"a\nb"`), `"a\nb"`},
		"NUL":              {named(`"\u0000"`), `"\x00"`},
		"escape":           {named(`"\u001b[0m"`), `"\x1b[0m"`},
		"letter beyond":    {named(`"é"`), `"é"`},
		"lone surrogate":   {named(`"\ud800"`), "other characters"},
		"same name":        {`{"functions":[{"name":"f"},{"name":"g"},{"name":"f"}]}`, `two functions are called "f"`},
		"same, escaped":    {`{"functions":[{"name":"f"},{"name":"\u0066"}]}`, `two functions are called "f"`},
		"bad UTF-8 name":   {named("\"a\xff\""), "not UTF-8"},
		"bad UTF-8 sdk":    {"{\"sdk\":\"\xff\"}", "not UTF-8"},
		"bad UTF-8 space":  {"{}\xff", "not UTF-8"},
		"long sdk":         {`{"sdk":"` + strings.Repeat("x", 4097) + `"}`, "sdk is no short text"},
		"long in":          {`{"functions":[{"name":"f","in":"` + strings.Repeat("x", 4097) + `"}]}`, `function "f": types`},
		"long out":         {`{"functions":[{"name":"f","out":"` + strings.Repeat("x", 4097) + `"}]}`, `function "f": types`},
		"host object":      {`{"host":{}}`, "cannot unmarshal"},
		"host name":        {`{"host":[{"name":"a b"}]}`, `host function 0: the name "a b"`},
		"host twice":       {`{"host":[{"name":"f"},{"name":"f"}]}`, `two host functions are called "f"`},
		"host long in":     {`{"host":[{"name":"f","in":"` + strings.Repeat("x", 4097) + `"}]}`, `host function "f": types`},
		"host many":        {`{"host":[` + strings.Repeat("{},", 1000) + `{}]}`, "1001 host functions are more than 1000"},
		"deep":             {strings.Repeat(`{"a":`, 1<<17), "exceeded max depth"},
		"many nameless":    {`{"functions":[` + strings.Repeat("{},", 1<<18) + `{}]}`, "function 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := guestabi.ParseDescription([]byte(tc.in))
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "description: ")
			require.Nil(t, d)
			require.Less(t, len(err.Error()), 1000)
			require.NotContains(t, err.Error(), "\n")
			require.NotContains(t, err.Error(), "\x1b")
		})
	}
}

func FuzzParseDescription(f *testing.F) {
	f.Add([]byte(`{"sdk":"x","functions":[{"name":"echo","in":"bytes","out":"bytes"}]}`))
	f.Add([]byte(`{"functions":[{"name":"a"},{"name":"a"}]}`))
	f.Add([]byte(`{"host":[{"name":"kv_get","in":"string","out":"bytes?"}]}`))
	f.Add([]byte("{\"sdk\":\"\xff\"}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		d, err := guestabi.ParseDescription(in)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b\x00") {
				t.Fatalf("the error shows what the guest wrote: %q", err)
			}
			return
		}
		seen := map[string]bool{}
		for _, fn := range d.Functions {
			if err := guestabi.CheckName(fn.Name); err != nil || seen[fn.Name] {
				t.Fatalf("%q was let through (%v)", fn.Name, err)
			}
			seen[fn.Name] = true
		}
		clear(seen)
		for _, fn := range d.Host {
			if err := guestabi.CheckName(fn.Name); err != nil || seen[fn.Name] || len(d.Host) > 1000 {
				t.Fatalf("host function %q was let through (%v)", fn.Name, err)
			}
			seen[fn.Name] = true
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := guestabi.ParseDescription(b); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
	})
}
