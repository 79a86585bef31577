package control

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"casemate"
)

// free takes from a member, and from all inside it, what it is held to.
func free(m *member) {
	m.required, m.low, m.high, m.words, m.pattern = false, nil, nil, nil, nil
	for _, inner := range m.inner {
		free(inner)
	}
}

// sample is some value of a member.
func (m *member) sample() string {
	switch m.kind {
	case 'i', 'f', 't':
		return "1"
	case 'b':
		return "true"
	case 'o', 'm':
		return "{}"
	case 'l':
		return "[]"
	}
	return `""`
}

// TestNothingIsTakenInSilence sends every operation each member that Lambda's own has. What is not read is refused; those are
// here, so that nobody adds one without meaning to.
func TestNothingIsTakenInSilence(t *testing.T) {
	d := &desk{Config: Config{Place: casemate.DefaultPlace}, shapes: table(t)}
	for _, m := range d.shapes {
		free(m)
	}
	var refused []string
	var ask func(o *casemate.Operation, path, before, after string, m *member)
	ask = func(o *casemate.Operation, path, before, after string, m *member) {
		for _, inner := range m.inner {
			if strings.ContainsAny(inner.name, "{[") {
				continue
			}
			open := before + `"` + inner.name + `":`
			_, err := o.Resource(d.Place, []byte(open+inner.sample()+after))
			var e *casemate.Error
			if errors.As(err, &e) && strings.HasSuffix(e.Message, " is not supported here") {
				refused = append(refused, path+"."+inner.name)
			} else if inner.kind == 'o' {
				ask(o, path+"."+inner.name, open+"{", "}"+after, inner)
			}
		}
	}
	for _, o := range d.operations() {
		shape := d.shapes[o.Name]
		if shape == nil {
			t.Fatalf("%s has no shape", o.Name)
		}
		ask(&o, o.Name, "{", "}", shape)
	}
	slices.Sort(refused)
	want := []string{"CreateFunction.Code.S3ObjectVersion", "CreateFunction.Code.SourceKMSKeyArn", "CreateFunction.CodeSigningConfigArn", "CreateFunction.DurableConfig",
		"CreateFunction.PublishTo", "ListFunctions.MasterRegion", "PublishLayerVersion.Content.S3ObjectVersion", "PublishVersion.PublishTo", "UpdateFunctionCode.PublishTo",
		"UpdateFunctionCode.S3ObjectVersion", "UpdateFunctionCode.SourceKMSKeyArn", "UpdateFunctionConfiguration.DurableConfig"}
	if !slices.Equal(refused, want) {
		t.Errorf("refused are\n%s", strings.Join(refused, "\n"))
	}
}
