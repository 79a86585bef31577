package secrets

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// needle is one form of a canary.
type needle struct {
	canary, form string
	text         []byte
}

// needles are the forms that a value takes on its way into a file: as it is, quoted, encoded, and the base64 of it in the
// middle of something else, where its first and last characters depend on their neighbours.
func needles(name, value string) (all []needle) {
	add := func(form, text string) {
		if len(text) >= 8 {
			all = append(all, needle{name, form, []byte(text)})
		}
	}
	quoted, _ := json.Marshal(value) // a string always encodes
	add("raw", value)
	add("JSON", strings.Trim(string(quoted), `"`))
	add("Go", strings.Trim(fmt.Sprintf("%q", value), `"`))
	add("Go bytes", strings.Trim(fmt.Sprint([]byte(value)), "[]"))
	add("URL", url.QueryEscape(value))
	add("URL path", url.PathEscape(value))
	add("hex", hex.EncodeToString([]byte(value)))
	add("HEX", strings.ToUpper(hex.EncodeToString([]byte(value))))
	add("base32", strings.TrimRight(base32.StdEncoding.EncodeToString([]byte(value)), "="))
	for shift := range 3 {
		inner := append(bytes.Repeat([]byte{0}, shift), value...)
		inner = inner[:len(inner)/3*3]
		for form, e := range map[string]*base64.Encoding{"base64": base64.StdEncoding, "base64url": base64.URLEncoding} {
			add(fmt.Sprint(form, " ", shift), e.EncodeToString(inner)[(shift*4+2)/3:])
		}
	}
	return all
}

// search gives where which canary stands in what form.
func search(text []byte, all []needle) (found []string) {
	for _, n := range all {
		if bytes.Contains(text, n.text) {
			found = append(found, n.canary+" ("+n.form+")")
		}
	}
	return found
}

// searchFiles goes through every file below dir.
func searchFiles(t *testing.T, dir string, all []needle) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		if f := search(text, all); f != nil {
			found[path] = f
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Fatalf("searching %s: %d files, %v", dir, files, err)
	}
	return found
}

// TestTheSearchFinds: every form, wherever it stands.
func TestTheSearchFinds(t *testing.T) {
	const value = `c4n-"8f21<ab&7>é/c0ffee`
	all := needles("x", value)
	for _, around := range []string{"", "a", "ab", "abc"} {
		quoted, _ := json.Marshal(value)
		for form, text := range map[string]string{"raw": around + value + around, "JSON": `{"v":` + string(quoted) + `}`, "Go": fmt.Sprintf("%q", around+value),
			"bytes": fmt.Sprint([]byte(around + value + around)), "URL": "?v=" + url.QueryEscape(value+around), "hex": hex.EncodeToString([]byte(around + value)),
			"base64": base64.StdEncoding.EncodeToString([]byte(around + value + around)), "base64url": base64.RawURLEncoding.EncodeToString([]byte(around + value + around))} {
			if search([]byte("noise "+text+" noise"), all) == nil {
				t.Errorf("%s after %q goes unseen: %s", form, around, text)
			}
		}
	}
	if f := search([]byte(strings.Repeat("what is none of it ", 100)), all); f != nil {
		t.Errorf("found %v in nothing", f)
	}
}
