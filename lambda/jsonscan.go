package lambda

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// members calls each with the name and the raw value of every member of object, in their order, and stops at its first
// error. object must have passed json.Valid; walking it costs no allocation, where decoding into a map costs one for
// each member.
func members(object []byte, each func(name string, raw []byte) error) error {
	object = bytes.TrimSpace(object)
	if len(object) < 2 || object[0] != '{' {
		return errors.New("not an object")
	}
	rest := bytes.TrimLeft(object[1:], whitespace)
	for len(rest) > 0 && rest[0] == '"' {
		n := stringEnd(rest)
		name, err := unquote(rest[:n])
		if err != nil {
			return err
		}
		rest = bytes.TrimLeft(rest[n:], whitespace+":")
		n = valueEnd(rest)
		if err := each(string(name), rest[:n]); err != nil {
			return err
		}
		rest = bytes.TrimLeft(rest[n:], whitespace+",")
	}
	return nil
}

// elements is members for a list.
func elements(list []byte, each func(raw []byte) error) error {
	list = bytes.TrimSpace(list)
	if len(list) < 2 || list[0] != '[' {
		return errors.New("not a list")
	}
	rest := bytes.TrimLeft(list[1:], whitespace)
	for len(rest) > 0 && rest[0] != ']' {
		n := valueEnd(rest)
		if err := each(rest[:n]); err != nil {
			return err
		}
		rest = bytes.TrimLeft(rest[n:], whitespace+",")
	}
	return nil
}

const whitespace = " \t\r\n"

// stringEnd is the length of the string that b begins with, quotes included.
func stringEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// valueEnd is the length of the value that b begins with.
func valueEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += stringEnd(b[i:]) - 1
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
			if depth < 0 {
				return i
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// unquote gives the text of a JSON string, without a copy where it has no escape.
func unquote(raw []byte) ([]byte, error) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, errors.New("not a string")
	}
	if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return raw[1 : len(raw)-1], nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, errors.New("not a string")
	}
	return []byte(s), nil
}
