package deploy

import (
	"archive/zip"
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/catalog"
)

// planOf is what the plan says of routes, from one state to another.
func planOf(was, is casemate.Route) (said []Change) {
	c := comparer{}
	c.routes(&catalog.App{Routes: []casemate.Route{was}}, &catalog.App{Routes: []casemate.Route{is}})
	return c.changes
}

// Lambda checklist: 57
func TestPlanTellsOfTimeouts(t *testing.T) {
	r := casemate.Route{ID: "GET /a", Payload: "rest"}
	longer := r
	longer.Timeout = time.Minute
	if said := planOf(r, longer); len(said) != 1 || !strings.Contains(said[0].Text, "requests may take 1m0s") {
		t.Errorf("%+v", said)
	}
	if said := planOf(longer, r); len(said) != 1 || !strings.Contains(said[0].Text, "requests may take 29s") {
		t.Errorf("%+v", said)
	}
}

// A URL that Lambda's API made, and that a manifest takes away, stands with the permissions.
func TestPlanTellsOfURLsThatGo(t *testing.T) {
	c := comparer{}
	url := casemate.Route{ID: "$default", URL: true, Function: "f", Managed: &casemate.ManagedURL{}}
	c.routes(&catalog.App{Routes: []casemate.Route{url}}, &catalog.App{})
	if !slices.ContainsFunc(c.changes, func(x Change) bool {
		return x.Kind == KindPermission && strings.Contains(x.Text, "made through Lambda's API")
	}) {
		t.Errorf("%+v", c.changes)
	}
}

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
