package words_test

import (
	"maps"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/sandpool/sandpool/examples/wordcount/words"
)

func TestCount(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		want       map[string]int
	}{
		{"empty", "", map[string]int{}},
		{"no words", " \t\n(){}+-.", map[string]int{}},
		{"one", "word", map[string]int{"word": 1}},
		{"at both ends", "a b a", map[string]int{"a": 2, "b": 1}},
		{"case", "Err err ERR", map[string]int{"Err": 1, "err": 1, "ERR": 1}},
		{"identifiers", "func (x *T_1) get_2() { return 0x2a }", map[string]int{"func": 1, "x": 1, "T_1": 1, "get_2": 1, "return": 1, "0x2a": 1}},
		{"letters", "naïve Größe 東京 Ελλάδα", map[string]int{"naïve": 1, "Größe": 1, "東京": 1, "Ελλάδα": 1}},
		{"digits", "٣٤ ²", map[string]int{"٣٤": 1}},
		{"marks", "e\u0301a", map[string]int{"e": 1, "a": 1}},
		{"separators", "a—b“c”d\u00a0e", map[string]int{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}},
		{"invalid bytes", "a\xffb \xc3 c\xe6\x9d", map[string]int{"a": 1, "b": 1, "c": 1}},
		{"replacement character", "a\uFFFDb", map[string]int{"a": 1, "b": 1}},
		{"surrogate", "a\xed\xa0\x80b", map[string]int{"a": 1, "b": 1}},
		{"NUL", "a\x00a", map[string]int{"a": 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := words.Count([]byte(test.text)); !maps.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// reference is Count the slow way.
func reference(text []byte) map[string]int {
	counts := make(map[string]int)
	for _, word := range strings.FieldsFunc(string(text), func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		counts[word]++
	}
	return counts
}

func FuzzCount(f *testing.F) {
	for _, seed := range []string{"", "a_1 b2 a_1", "naïve 東京\xff٣", "\xed\xa0\x80x\uFFFDy", "é\xc3"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		original := string(text)
		got := words.Count(text)
		if want := reference(text); !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		for word, n := range got {
			if !utf8.ValidString(word) || n < 1 {
				t.Errorf("%q occurs %d times", word, n)
			}
		}
		if string(text) != original {
			t.Error("Count changed its argument")
		}
	})
}

func BenchmarkCount(b *testing.B) {
	text := []byte(strings.Repeat("\tif err := visit(node.children[i]); err != nil {\n\t\treturn err // naïve\n\t}\n", 200))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		words.Count(text)
	}
}
