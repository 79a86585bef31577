package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"casemate"
)

// table prints columns that are as wide as their widest cell; a cell never breaks a terminal: control characters are
// shown, not sent.
type table struct {
	head []string
	rows [][]string
}

func newTable(head ...string) *table { return &table{head: head} }

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) print(w io.Writer) {
	width := make([]int, len(t.head))
	all := append([][]string{t.head}, t.rows...)
	for _, row := range all {
		for i := range row {
			row[i] = printable(row[i])
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
	}
	for _, row := range all {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// printable keeps what a function or a caller wrote from moving the cursor or colouring the screen.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}

// printableLines is printable for text of many lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// forTerminal is what a function answered, as it is for programs and files, and harmless where w is a person's terminal:
// what a function writes could otherwise act there in the operator's name.
func forTerminal(w io.Writer, answer []byte) []byte {
	f, ok := w.(*os.File)
	if !ok {
		return answer
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice != 0 {
		return []byte(printableLines(string(answer)))
	}
	return answer
}

// show prints v as JSON when that was asked for, and as people read it otherwise.
func (a *app) show(v any, people func(w io.Writer)) error {
	if !a.json {
		people(a.out)
		return nil
	}
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func duration(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// count is a number of things: "1 record", "2 records".
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// verdicts is the corridor of a record in one line: "in who may room form start out", with the point that refused in
// capitals.
func verdicts(r *casemate.Record) string {
	var b strings.Builder
	for i, p := range r.Points {
		if i > 0 {
			b.WriteByte(' ')
		}
		if p.Verdict == casemate.Allowed {
			b.WriteString(p.Name)
		} else {
			b.WriteString(strings.ToUpper(p.Name))
		}
	}
	return b.String()
}

func temperature(u casemate.Usage) string {
	switch {
	case u.Wall == 0:
		return "-"
	case u.Cold && u.Init > 0:
		return "cold (start " + duration(u.Init) + ")"
	case u.Cold:
		return "cold"
	}
	return "warm"
}
