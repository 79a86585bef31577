// Package transform holds the transformations that rules apply to a value before they look at it, each once, with the
// results that Coraza 3.8 gives. Every transformation knows which bytes it needs to change anything: a value without one
// of them is its own transformation, and nothing is copied.
//
// What each does: https://github.com/owasp-modsecurity/ModSecurity/wiki/Reference-Manual-(v3.x)#transformation-functions
package transform

import (
	"crypto/sha1" //nolint:gosec // a transformation of the rule language, no protection rests on it
	"encoding/hex"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// Set is a set of bytes.
type Set [4]uint64

// Has reports whether a byte is in the set.
func (s *Set) Has(b byte) bool { return s[b>>6]&(1<<(b&63)) != 0 }

// Add puts a byte into the set.
func (s *Set) Add(b byte) { s[b>>6] |= 1 << (b & 63) }

// Meets reports whether two sets have a byte in common.
func (s *Set) Meets(o *Set) bool {
	return s[0]&o[0] != 0 || s[1]&o[1] != 0 || s[2]&o[2] != 0 || s[3]&o[3] != 0
}

// Within reports whether every byte of s is in o.
func (s *Set) Within(o *Set) bool {
	return s[0]&^o[0] == 0 && s[1]&^o[1] == 0 && s[2]&^o[2] == 0 && s[3]&^o[3] == 0
}

// BytesOf is the set of a value's bytes.
func BytesOf(s string) Set {
	var m Set
	for i := 0; i < len(s); i++ {
		m[s[i]>>6] |= 1 << (s[i] & 63)
	}
	return m
}

// ID names a transformation.
type ID uint8

// Max is the number of transformations.
const Max = 22

type entry struct {
	name  string
	needs Set // a value without any of these bytes stays as it is
	apply func(string) string
}

// Lookup is the transformation of this name in any case.
func Lookup(name string) (ID, bool) {
	for i, e := range entries() {
		if strings.EqualFold(e.name, name) {
			return ID(i), true
		}
	}
	return 0, false
}

// Table is every transformation, by ID; made once by whoever keeps it.
type Table [Max]entry

// New makes the table.
func New() *Table {
	t := Table(entries())
	return &t
}

// Changes reports whether a transformation can change a value made of these bytes.
func (t *Table) Changes(id ID, bytes *Set) bool {
	return bytes.Meets(&t[id].needs) || t[id].needs == all() // those make something of nothing
}

// Apply transforms a value.
func (t *Table) Apply(id ID, s string) string { return t[id].apply(s) }

func of(bytes string) Set { return BytesOf(bytes) }

func all() Set { return Set{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)} }

func high() Set { return Set{0, 0, ^uint64(0), ^uint64(0)} }

func with(s Set, bytes string) Set {
	for i := 0; i < len(bytes); i++ {
		s.Add(bytes[i])
	}
	return s
}

const upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

func entries() [Max]entry {
	return [Max]entry{
		{"lowercase", with(high(), upper), strings.ToLower},
		{"uppercase", with(high(), strings.ToLower(upper)), strings.ToUpper},
		{"urlDecode", of("%+"), urlDecode},
		{"urlDecodeUni", of("%+"), urlDecodeUni},
		{"htmlEntityDecode", of("&"), html.UnescapeString},
		{"jsDecode", of(`\`), jsDecode},
		{"cssDecode", of(`\`), cssDecode},
		{"escapeSeqDecode", of(`\`), escapeSeqDecode},
		{"removeNulls", of("\x00"), func(s string) string { return strings.ReplaceAll(s, "\x00", "") }},
		{"removeWhitespace", with(high(), " \t\n\v\f\r"), removeWhitespace},
		{"compressWhitespace", with(high(), " \t\n\v\f\r"), compressWhitespace},
		{"replaceComments", of("/"), replaceComments},
		{"removeCommentsChar", of("/*<-#"), removeCommentsChar},
		{"cmdLine", of(upper + `"'\^ ,;` + "\t\r\n/("), cmdLine},
		{"normalizePath", of("./"), normalizePath},
		{"normalizePathWin", of(`./\ :`), normalizePathWin},
		{"utf8toUnicode", high(), utf8toUnicode},
		{"base64Decode", all(), base64Decode},
		{"length", all(), func(s string) string { return strconv.Itoa(len(s)) }},
		{"sha1", all(), func(s string) string { h := sha1.Sum([]byte(s)); return string(h[:]) }}, //nolint:gosec // as above
		{"hexEncode", all(), func(s string) string { return hex.EncodeToString([]byte(s)) }},
		{"trim", of(" \t\n\v\f\r\xc2\xe1\xe2\xe3"), strings.TrimSpace}, // spaces of Unicode begin with the last four
	}
}

func removeWhitespace(s string) string {
	if plain := strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0; plain {
		out := make([]byte, 0, len(s))
		for i := 0; i < len(s); i++ {
			if c := s[i]; c != ' ' && (c < '\t' || c > '\r') {
				out = append(out, c)
			}
		}
		return string(out)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

// normalizePath takes out "//", "." and ".." segments, and keeps a slash at the end.
func normalizePath(s string) string {
	if s == "" {
		return s
	}
	clean := path.Clean(s)
	switch {
	case clean == ".":
		return ""
	case s[len(s)-1] == '/':
		return clean + "/"
	}
	return clean
}

// normalizePathWin does the same for either slash, and drops what Windows drops: streams, dots and blanks at the end of
// a name.
func normalizePathWin(s string) string {
	if s == "" {
		return s
	}
	return trimNames(dropStream(normalizePath(strings.ReplaceAll(s, `\`, "/"))))
}

func dropStream(s string) string {
	drive, slash := "", ""
	if len(s) >= 2 && s[1] == ':' && (s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z') {
		drive, s = s[:2], s[2:]
	}
	if strings.HasSuffix(s, "/") {
		slash, s = "/", s[:len(s)-1]
	}
	last := strings.LastIndexByte(s, '/') + 1
	if c := strings.IndexByte(s[last:], ':'); c >= 0 {
		s = s[:last+c]
	}
	return drive + s + slash
}

func trimNames(s string) string {
	if strings.IndexByte(s, '/') < 0 && strings.Trim(s, ". ") == s && s != "" {
		return s // one name, with nothing to drop
	}
	parts := strings.Split(s, "/")
	changed := false
	for _, p := range parts {
		if strings.Trim(p, ".") != "" && strings.TrimRight(p, ". ") != p {
			changed = true
		}
	}
	if !changed {
		return s
	}
	kept := parts[:0]
	for _, p := range parts {
		if strings.Trim(p, ".") != "" {
			if p = strings.TrimRight(p, ". "); p == "" {
				continue
			}
		}
		kept = append(kept, p)
	}
	return strings.Join(kept, "/")
}
