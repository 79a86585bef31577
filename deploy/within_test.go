package deploy

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"
	"testing"

	"casemate"
	"casemate/catalog"
)

// Layers count together with the code that they stand beside, however they came to it.
func TestEditsAreHeldToTheWeightOfLayersAndCode(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("index.js")
	if err == nil {
		_, err = io.Copy(w, io.LimitReader(zeros{}, 1<<20))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	d, _ := deployer(t)
	digest, err := d.Keep(t.Context(), "nodejs20.x", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for weight, want := range map[int64]string{250<<20 - 1<<20: "", 250<<20 - 1<<20 + 1: "InvalidParameterValueException"} {
		make := added(d, "f", digest, "")
		err := d.Edit(t.Context(), "lambda", "user/x", func(a *catalog.App) error {
			if err := make(a); err != nil {
				return err
			}
			v := a.Functions["f"].Versions[0]
			v.Runtime, v.Handler, v.Layers = "nodejs20.x", "index.handler", []casemate.Layer{{Code: strings.Repeat("ab", 32), Size: 1, Unpacked: weight}}
			return nil
		})
		got := ""
		if err != nil {
			got = casemate.AsError(err).AWS
		}
		if got != want {
			t.Errorf("%d: %v", weight, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
