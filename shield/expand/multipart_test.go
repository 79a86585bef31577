package expand

import (
	"strings"
	"testing"

	"casemate"
)

// Readers find a form by the boundary of its content type, or by its look, and differ about what stands around it: no value of it may
// be missed by whoever looks.
func TestMultipartHidesNothing(t *testing.T) {
	part := func(boundary, value string) string {
		return "--" + boundary + "\nContent-Disposition: form-data; name=\"a\"\n\n" + value + "\n"
	}
	for name, body := range map[string]string{
		"a part":                        part("X", "needle") + "--X--\n",
		"a second":                      part("X", "hi") + part("X", "needle") + "--X--\n",
		"behind the end":                part("X", "hi") + "--X--\n" + part("X", "needle") + "--X--\n",
		"in the epilogue":               part("X", "hi") + "--X--\nneedle",
		"behind a preamble":             "hello\n" + part("X", "needle") + "--X--\n",
		"behind a long preamble":        strings.Repeat("hello ", 500) + "\n" + part("X", "needle") + "--X--\n",
		"behind a form of another line": part("Y", "hi") + "--Y--\n" + part("X", "needle") + "--X--\n",
		"inside a part of another":      "--Y\nContent-Type: text/plain\n\n" + part("X", "needle") + "--X--\n--Y--\n",
		"inside a header of another":    "--Y\nContent-Type: text/plain\nX-A: b\n" + part("X", "needle") + "--X--\n--Y--\n",
		"with no end":                   strings.TrimSuffix(part("X", "needle"), "\n"),
		"with no headers":               "--X\n\nneedle\n--X--\n",
		"with no blank line":            "--X\nneedle\n--X--\n",
		"a header":                      "--X\nContent-Type: text/plain\nX-A: needle\n\nhi\n--X--\n",
		"behind a longer boundary":      part("X", "hi\n--Xy") + part("X", "needle") + "--X--\n",
		"between spaces":                "--X \t\nContent-Type: text/plain\n\nneedle\n--X-- \n",
	} {
		for _, end := range []string{"\n", "\r\n"} {
			for _, media := range []string{"multipart/form-data; boundary=X", `multipart/form-data; boundary="X"; boundary=Z`, "Multipart/Mixed;boundary=X;=", `multipart/related; type=a; boundary="X"`} {
				found := false
				x := New(Bounds{})
				err := x.Expand(casemate.Field{In: "body", Value: []byte(strings.ReplaceAll(body, "\n", end))}, media, func(p *Piece) error {
					found = found || string(p.Value) == "needle"
					return nil
				})
				if err != nil || !found {
					t.Errorf("%s, %q, %s: not seen (%v)", name, end, media, err)
				}
			}
		}
	}
}

func TestMultipartIsBounded(t *testing.T) {
	for _, body := range []string{strings.Repeat("--X\n\na\n", maxParts+1), "--X\n" + strings.Repeat("a: b\n", maxPartLines+2) + "\nc\n--X--"} {
		err := New(Bounds{}).Expand(casemate.Field{In: "body", Value: []byte(body)}, "multipart/form-data; boundary=X", func(*Piece) error { return nil })
		if e := casemate.AsError(err); err == nil || !strings.HasPrefix(e.Rule, RuleBounds) {
			t.Errorf("%.20q: %v", body, err)
		}
	}
}

// What looks at a form is linear in its size, whatever it is made of.
func BenchmarkMultipart(b *testing.B) {
	for name, body := range map[string]string{"marks": strings.Repeat("--X", 1<<20), "folds": strings.Repeat("--X\nA: b"+strings.Repeat("\n c", 900)+"\n\nd\n", 900) + "--X--"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := New(Bounds{}).Expand(casemate.Field{In: "body", Value: []byte(body)}, "multipart/form-data; boundary=X", func(*Piece) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
