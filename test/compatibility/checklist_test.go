// Package compatibility says how far Casemate is AWS Lambda: a checklist, and the tests that hold its items. Tests name the
// items that they hold in a line above them, "Lambda checklist: 31, 33", and docs/lambda-compatibility.md is made of both.
package compatibility

import (
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

//go:embed checklist.txt
var checklist string

var update = flag.Bool("update", false, "write docs/lambda-compatibility.md anew")

const (
	root  = "../.."
	page  = root + "/docs/lambda-compatibility.md"
	items = 100
)

// item is one statement of the checklist.
type item struct {
	number          int
	part, text      string
	differs, absent string
	held            []string // by these tests: "authn TestExpired", "test/e2e keys"
}

// read gives the items in their order.
func read(t *testing.T, text string) (all []*item) {
	t.Helper()
	part := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		number, rest, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(number)
		switch {
		case strings.HasPrefix(line, "## "):
			part = line[3:]
		case line == "" || strings.HasPrefix(line, "# "):
		case strings.HasPrefix(line, "differs: ") && len(all) > 0:
			all[len(all)-1].differs = rest
		case strings.HasPrefix(line, "absent: ") && len(all) > 0:
			all[len(all)-1].absent = rest
		case err != nil || n != len(all)+1 || rest == "" || part == "":
			t.Fatalf("checklist.txt: %q is no item in its order", line)
		default:
			all = append(all, &item{number: n, part: part, text: rest})
		}
	}
	if len(all) != items {
		t.Fatalf("checklist.txt has %d items", len(all))
	}
	return all
}

var (
	markGo     = regexp.MustCompile(`(?m)^// Lambda checklist: ([0-9, ]+)\.?\n(?://.*\n)*func (Test\w+|Fuzz\w+)\(`)
	markScript = regexp.MustCompile(`(?m)^# Lambda checklist: ([0-9, ]+)\.?$`)
	markAny    = regexp.MustCompile(`(?m)^(//|#) Lambda checklist:`)
)

// marks gives the tests that hold items, by item.
func marks(t *testing.T) map[int][]string {
	t.Helper()
	held := map[int][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules") {
			return skip(err)
		}
		script := strings.HasSuffix(path, ".txtar")
		if !script && !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		where, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		found := markGo.FindAllSubmatch(text, -1)
		if script {
			where = filepath.Dir(where)
			found = markScript.FindAllSubmatch(text, -1)
		}
		if all := markAny.FindAll(text, -1); len(all) != len(found) && where != "test/compatibility" {
			t.Errorf("%s: %d marks, %d of them above a test with numbers", path, len(all), len(found))
		}
		for _, m := range found {
			name := strings.TrimSuffix(filepath.Base(path), ".txtar")
			if !script {
				name = string(m[2])
			}
			for number := range strings.SplitSeq(string(m[1]), ",") {
				n, err := strconv.Atoi(strings.TrimSpace(number))
				if err != nil || n < 1 || n > items {
					t.Errorf("%s: %q is no item", path, number)
					continue
				}
				held[n] = append(held[n], "`"+filepath.ToSlash(where)+"` "+name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return held
}

func skip(err error) error {
	if err != nil {
		return err
	}
	return filepath.SkipDir
}

// TestPage: the page says what the tests hold, no more and no less.
func TestPage(t *testing.T) {
	all := read(t, checklist)
	held := marks(t)
	for _, i := range all {
		i.held = slices.Compact(slices.Sorted(slices.Values(held[i.number])))
		if len(i.held) > 0 && i.absent != "" || len(i.held) == 0 && i.differs != "" {
			t.Errorf("item %d: what checklist.txt says of it is not what the tests say", i.number)
		}
	}
	want := write(all)
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/lambda-compatibility.md is not what the tests say (%v): go test ./test/compatibility -update", err)
	}
}

// write is the page.
func write(all []*item) []byte {
	count := map[string]int{}
	for _, i := range all {
		count[i.state()]++
	}
	var b bytes.Buffer
	b.WriteString("# How far Casemate is AWS Lambda\n\nA hundred things that code written for AWS Lambda depends on, and the tests that hold each one here. The page is made\n" +
		"from the tests (`go test ./test/compatibility -update`); a test fails where it says something else than they do.\n\n")
	var words []string
	for _, state := range slices.Sorted(maps.Keys(count)) {
		words = append(words, fmt.Sprintf("%s: %d", state, count[state]))
	}
	fmt.Fprintf(&b, "**%s**\n", strings.Join(words, ", "))
	part := ""
	for _, i := range all {
		if i.part != part {
			part = i.part
			fmt.Fprintf(&b, "\n## %s\n\n| | item | | held by |\n|---|---|---|---|\n", part)
		}
		text := i.text
		if note := i.differs + i.absent; note != "" {
			text += " *" + note + "*"
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", i.number, strings.ReplaceAll(text, "|", "\\|"), i.state(), strings.Join(i.held, ", "))
	}
	return b.Bytes()
}

// state is the word of an item's column.
func (i *item) state() string {
	switch {
	case len(i.held) == 0:
		return "absent"
	case i.differs != "":
		return "differs"
	}
	return "works"
}
