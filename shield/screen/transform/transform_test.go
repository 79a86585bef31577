package transform

import (
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

func TestTransformations(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"lowercase", "ÀbC", "àbc"}, {"urlDecode", "a%20b+c%zz%4", "a b c%zz%4"}, {"urlDecodeUni", "%u0041%uff1c%u201c%41+%u12", "A<\"A %u12"},
		{"htmlEntityDecode", "&lt;a&#x41;&amp;", "<aA&"}, {"jsDecode", `\x41\u0042\u{43}\104\n\q\uff1c`, "ABCD\nq<"}, {"cssDecode", `\41 b\000043\` + "\n" + `c\`, "AbCc"},
		{"escapeSeqDecode", `\x41\102\n\q\\`, "AB\nq\\"}, {"removeNulls", "a\x00b", "ab"}, {"removeWhitespace", " a\tb\u00a0c ", "abc"}, {"compressWhitespace", "a \t\n b", "a b"},
		{"replaceComments", "a/*b*/c/*d", "a c "}, {"removeCommentsChar", "a/*b*/c<!--d-->e--f#g", "abcdefg"}, {"cmdLine", `C^"a't ,; /etc  (X`, "cat/etc(x"},
		{"normalizePath", "/a/./b/../c//d/", "/a/c/d/"}, {"normalizePathWin", `C:\a\..\b.txt::$DATA`, "C:/b.txt"}, {"utf8toUnicode", "aé€", "a%u00e9%u20ac"},
		{"base64Decode", "aGVs\nbG8=x", "hello"}, {"length", "abc", "3"}, {"hexEncode", "\x01z", "017a"}, {"trim", "\t a ", "a"},
	} {
		id, ok := Lookup(c.name)
		if got := New().Apply(id, c.in); !ok || got != c.want {
			t.Errorf("%s(%q) = %q, want %q", c.name, c.in, got, c.want)
		}
	}
	if _, ok := Lookup("rot13"); ok {
		t.Error("rot13 is known")
	}
}

// TestNeedsAreEnough holds what lets a transformation be left out: a value without any of its bytes does not change.
func TestNeedsAreEnough(t *testing.T) {
	table := New()
	rapid.Check(t, func(rt *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z0-9 %+&;\\/.*#<\-]{0,20}`), rapid.StringMatching(`[a-z0-9]{0,20}`)).Draw(rt, "value")
		bytes := BytesOf(s)
		for id := range ID(Max) {
			if !table.Changes(id, &bytes) && table.Apply(id, s) != s {
				rt.Fatalf("%s changes %q into %q, and does not say so", table[id].name, s, table.Apply(id, s))
			}
		}
	})
}

func FuzzApply(f *testing.F) {
	for _, s := range []string{`\u{`, "%u", "%", `\x4`, "/*", "&#", "C:", "\xff\x00"} {
		f.Add(s)
	}
	table := New()
	f.Fuzz(func(t *testing.T, s string) {
		for id := range ID(Max) {
			if got := table.Apply(id, s); len(got) > 6*len(s)+64 {
				t.Errorf("%s makes %d bytes of %d", table[id].name, len(got), len(s))
			}
		}
	})
}

// TestRemoveWhitespace: bytes by bytes it gives what characters do.
func TestRemoveWhitespace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOfN(rapid.RuneFrom([]rune("ab. \t\v\r\n/:\\\x1f\u0085\u00a0é")), 0, 12, -1).Draw(t, "s")
		want := strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return -1
			}
			return r
		}, s)
		if got := removeWhitespace(s); got != want {
			t.Fatalf("%q without white space: %q, want %q", s, got, want)
		}
	})
}
