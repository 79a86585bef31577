package authn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxDepth bounds nesting in headers, claims and key sets.
const maxDepth = 8

// parseObject reads one JSON object and nothing after it. Numbers stay as written. A name that comes twice, which two
// readers could take differently, malformed UTF-8 and deep nesting are refused.
func parseObject(b []byte) (map[string]any, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("malformed UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return m, nil
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, errors.New("malformed JSON")
	}
	open, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if depth++; depth > maxDepth {
		return nil, errors.New("nested too deeply")
	}
	var list []any
	object := map[string]any{}
	for d.More() {
		name := ""
		if open == '{' {
			if t, err = d.Token(); err != nil {
				return nil, errors.New("malformed JSON")
			}
			name, _ = t.(string)
			if _, twice := object[name]; twice {
				return nil, fmt.Errorf("name %.40q comes twice", name)
			}
		}
		v, err := parseValue(d, depth)
		if err != nil {
			return nil, err
		}
		if open == '{' {
			object[name] = v
		} else {
			list = append(list, v)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("malformed JSON")
	}
	if open == '{' {
		return object, nil
	}
	return list, nil
}

// claims is a claims set (RFC 7519) in the flat form that policies see: nested names joined by dots, numbers and
// booleans as text, lists of texts apart.
type claims struct {
	text     map[string]string
	lists    map[string][]string
	audience []string
	top      map[string]any // as they stand in the token
	times    map[string]time.Time
}

func parseClaims(b []byte) (claims, error) {
	m, err := parseObject(b)
	if err != nil {
		return claims{}, fmt.Errorf("token claims: %w", err)
	}
	c := claims{top: m, text: map[string]string{}, lists: map[string][]string{}, times: map[string]time.Time{}}
	if err := c.flatten("", m); err != nil {
		return claims{}, err
	}
	for _, name := range [...]string{"iss", "sub"} {
		if _, ok := m[name].(string); m[name] != nil && !ok {
			return claims{}, fmt.Errorf("token claim %s is no text", name)
		}
	}
	for _, name := range [...]string{"exp", "nbf", "iat"} {
		v, ok := m[name]
		if !ok {
			continue
		}
		n, ok := v.(json.Number)
		if !ok {
			return claims{}, fmt.Errorf("token claim %s is no number", name)
		}
		s, err := strconv.ParseFloat(n.String(), 64)
		if err != nil || s < 0 || s > 1e11 {
			return claims{}, fmt.Errorf("token claim %s is no time", name)
		}
		c.times[name] = time.UnixMilli(int64(s * 1000))
	}
	switch aud := m["aud"].(type) {
	case string:
		c.audience = []string{aud}
	case []any:
		if c.audience = c.lists["aud"]; len(c.audience) != len(aud) {
			return claims{}, errors.New("token audience is no list of texts")
		}
	}
	return c, nil
}

func (c *claims) flatten(prefix string, m map[string]any) error {
	for name, v := range m {
		name = prefix + name
		if _, ok := c.text[name]; ok {
			return fmt.Errorf("token claim %.40q is ambiguous", name)
		}
		if _, ok := c.lists[name]; ok {
			return fmt.Errorf("token claim %.40q is ambiguous", name)
		}
		switch v := v.(type) {
		case string:
			c.text[name] = v
		case json.Number:
			c.text[name] = v.String()
		case bool:
			c.text[name] = strconv.FormatBool(v)
		case []any:
			c.lists[name] = texts(v)
		case map[string]any:
			if err := c.flatten(name+".", v); err != nil {
				return err
			}
		}
	}
	return nil
}

func texts(vs []any) []string {
	out := make([]string, 0, len(vs))
	for _, v := range vs {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// values are the texts of a claim, one or many, in their order.
func (c *claims) values(name string) []string {
	if s, ok := c.text[name]; ok {
		return []string{s}
	}
	return c.lists[name]
}

// scopes are those of RFC 8693 ("scope", apart by spaces) or of "scp".
func (c *claims) scopes() []string {
	if s, ok := c.text["scope"]; ok {
		return strings.Fields(s)
	}
	if s, ok := c.text["scp"]; ok {
		return strings.Fields(s)
	}
	return c.lists["scp"]
}

// inForce holds the claims against the clock and returns when they end. A token without an end is refused.
func (c *claims) inForce(now time.Time) (time.Time, error) {
	exp, ok := c.times["exp"]
	switch {
	case !ok:
		return exp, errors.New("token never expires")
	case !now.Before(exp):
		return exp, errors.New("token has expired")
	}
	for _, name := range [...]string{"nbf", "iat"} {
		if at, ok := c.times[name]; ok && at.After(now.Add(leeway)) {
			return exp, fmt.Errorf("token is not valid yet (%s)", name)
		}
	}
	return exp, nil
}
