package plain

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const canary = "canary-7f3a"

// TestNoVerbPrints: every verb and flag, directly, in a pointer, a slice, a map, an error and an unexported field.
func TestNoVerbPrints(t *testing.T) {
	x := Take([]byte(canary))
	type inner struct{ hidden Text }
	type outer struct {
		Shown Text
		in    inner
		p     *Text
	}
	forms := []any{x, &x, []Text{x}, map[string]Text{"k": x}, outer{x, inner{x}, &x}, &outer{x, inner{x}, &x}, inner{x}, []inner{{x}}, []any{inner{x}},
		errors.Join(fmt.Errorf("reading %v", x)), struct{ a any }{inner{x}}}
	for _, f := range forms {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%T %p", "%b", "%c", "%U", "%10s", "%-5.3v", "%!"} {
			out := fmt.Sprintf(verb, f)
			if strings.Contains(out, canary) || strings.Contains(strings.ToLower(out), fmt.Sprintf("%x", canary)) ||
				strings.Contains(out, strings.Trim(fmt.Sprint([]byte(canary)), "[]")) {
				t.Errorf("%s of %T shows %q", verb, f, out)
			}
		}
	}
}

func TestNoEncoderTakes(t *testing.T) {
	x := Take([]byte(canary))
	type outer struct{ T Text }
	if b, err := json.Marshal(outer{x}); err == nil {
		t.Errorf("JSON: %s", b)
	}
	if b, err := xml.Marshal(outer{x}); err == nil {
		t.Errorf("XML: %s", b)
	}
	var out bytes.Buffer
	if err := gob.NewEncoder(&out).Encode(outer{x}); err == nil {
		t.Errorf("gob: %s", out.Bytes())
	}
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("x", "v", x, "o", outer{x}, slog.Group("g", "p", &x))
	}
	if bytes.Contains(out.Bytes(), []byte(canary)) {
		t.Errorf("encoded: %s", out.Bytes())
	}
}

func TestValueComesThrough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		b, err := Take([]byte(s)).AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		var x Text
		if err := json.Unmarshal(b, &x); err != nil || !x.Equal(Take([]byte(s))) {
			t.Fatalf("%v, %q became %q", err, s, x.Expose())
		}
		y := x
		x.Wipe()
		if y.Len() != 0 || s != "" && y.Equal(Take([]byte(s))) {
			t.Fatal("a copy outlived the wipe")
		}
	})
	var x Text
	if err := json.Unmarshal([]byte(`{"canary-7f3a":1}`), &x); err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("error %v", err)
	}
}
