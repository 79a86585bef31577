package entry

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"casemate"
)

// fill gives every field reachable from v a drawn value, so that a field added to the record cannot be forgotten here.
func fill(t *rapid.T, v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
		return
	case *casemate.Code:
		*x = rapid.SampledFrom(casemate.Codes()).Draw(t, "code")
		return
	case *casemate.Verdict:
		*x = casemate.Verdict(rapid.IntRange(0, 1).Draw(t, "verdict"))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) string { return string(b) })).Draw(t, "text"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "number"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	case reflect.Slice:
		if n := rapid.IntRange(-1, 2).Draw(t, "len"); n >= 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(t, v.Index(i))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	default:
		t.Fatalf("the encoder does not know %v", v.Type())
	}
}

func line(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

func TestRecordIsEncodedAsTheStandardLibraryDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r casemate.Record
		fill(t, reflect.ValueOf(&r).Elem())
		want, err := line(r)
		if err != nil {
			t.Skip(err)
		}
		got := append(Append(nil, &r), '\n')
		if !bytes.Equal(got, want) {
			t.Fatalf("\n got %s\nwant %s", got, want)
		}
	})
}

var noon = time.Date(2026, 5, 4, 12, 0, 0, 123456789, time.UTC)

func record() *casemate.Record {
	return &casemate.Record{
		ID: "0b1f6f0c-9d2e-4c1e-8a57-1d2f3a4b5c6d", Event: "0b1f6f0c-9d2e-4c1e-8a57-1d2f3a4b5c6d", Chain: "0b1f6f0c-9d2e-4c1e-8a57-1d2f3a4b5c6d",
		Source: casemate.SourceHTTP, Action: "lambda:InvokeFunction", Resource: "arn:aws:lambda:us-east-1:000000000000:function:orders",
		Route: "POST /orders", Function: "orders", Opened: noon, Closed: noon.Add(time.Millisecond), Principal: "key/ck_1", Role: "clerk",
		Points: []casemate.Point{
			{Name: casemate.PointWho, Verdict: casemate.Allowed, Took: 800}, {Name: casemate.PointMay, Verdict: casemate.Allowed, Took: 900},
			{Name: casemate.PointRoom, Verdict: casemate.Allowed, Took: 300}, {Name: casemate.PointForm, Verdict: casemate.Allowed, Took: 9000},
		},
		Decision: casemate.Decision{Verdict: casemate.Allowed, Layer: "identity", Statement: "clerk#2", Origin: "casemate.yaml:12"},
		Walls:    []string{"userns", "seccomp", "landlock"},
		Usage:    casemate.Usage{Wall: 3 * time.Millisecond, CPU: time.Millisecond, MemoryMB: 128, In: 90, Out: 200},
		Outcome:  casemate.Outcome{OK: true, Status: "answered"},
	}
}

func TestTextIsClippedAtACharacter(t *testing.T) {
	for pad := range 4 {
		s := strings.Repeat("x", pad) + strings.Repeat("€", maxText)
		b := AppendText(nil, s)
		var back string
		if err := json.Unmarshal(b, &back); err != nil || len(b) > maxText+16 || strings.ContainsRune(back, utf8.RuneError) {
			t.Fatalf("pad %d: %d bytes, err %v", pad, len(b), err)
		}
	}
}

func TestEffectsAreBoundedAndTheRestCounted(t *testing.T) {
	r := record()
	for range 5000 {
		r.Effects = append(r.Effects, casemate.Effect{Kind: "resolve", Target: strings.Repeat("a", 300) + ".example"})
	}
	b := Append(nil, r)
	var back casemate.Record
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	last := back.Effects[len(back.Effects)-1]
	if len(b) > 2*maxRecord || last.Kind != "omitted" || !strings.HasSuffix(last.Target, " more effects") || back.Outcome != r.Outcome {
		t.Fatalf("%d bytes, last effect %+v", len(b), last)
	}
}

// A door tells where a function went when its run ends, behind all that the function may have caused before.
func TestWhereAFunctionWentIsNotOmitted(t *testing.T) {
	r := record()
	for range 300 {
		r.Effects = append(r.Effects, casemate.Effect{Kind: casemate.EffectService, Target: strings.Repeat("\x01", maxText), Verdict: casemate.Allowed})
	}
	r.Effects = append(r.Effects, casemate.Effect{Kind: casemate.EffectConnect, Target: "evil.example:443", Verdict: casemate.Allowed, Out: 1 << 30})
	var back casemate.Record
	if err := json.Unmarshal(Append(nil, r), &back); err != nil {
		t.Fatal(err)
	}
	n := len(back.Effects)
	if n < 2 || back.Effects[n-2].Target != "evil.example:443" || back.Effects[n-1].Target != strconv.Itoa(300-(n-2)+len(record().Effects))+" more effects" {
		t.Errorf("%d effects, last %+v", n, back.Effects[n-1])
	}
}

func TestCredentialsNeverReachTheRecord(t *testing.T) {
	key := "ck_abcd1234_" + strings.Repeat("Zz9", 14)
	token := "eyJhbGciOiJFUzI1NiJ9." + strings.Repeat("abc-_", 20) + ".c2ln"
	r := record()
	r.Resource, r.Outcome.Detail, r.Points[0].Reason = "/reset/"+token+"/x", "failed with "+key, key+"."+token
	b := Append(nil, r)
	if bytes.Contains(b, []byte("Zz9Zz9")) || bytes.Contains(b, []byte("abc-_abc")) {
		t.Fatalf("leaked: %s", b)
	}
	var back casemate.Record
	if err := json.Unmarshal(b, &back); err != nil || back.Resource != "/reset/[redacted]/x" || back.Principal != "key/ck_1" {
		t.Fatalf("%v: %+v", err, back)
	}
	var opening casemate.Record
	if err := json.Unmarshal(AppendOpening(nil, r, 1000), &opening); err != nil || opening.Resource != back.Resource {
		t.Fatalf("opening: %v %q", err, opening.Resource)
	}
}

func TestOpeningAlwaysFitsItsSlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r casemate.Record
		fill(t, reflect.ValueOf(&r).Elem())
		r.ID = rapid.StringMatching(`[a-f0-9#-]{1,128}`).Draw(t, "id")
		r.Resource = strings.Repeat(r.Resource+"\x00", rapid.IntRange(1, 100).Draw(t, "times"))
		b := AppendOpening(make([]byte, 16), &r, 1024)
		var back casemate.Record
		if err := json.Unmarshal(b[16:], &back); err != nil || len(b) > 1024 || back.ID != r.ID {
			t.Fatalf("%d bytes, id %q, err %v: %s", len(b), back.ID, err, b)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	r := record()
	buf := make([]byte, 0, 4096)
	b.Run("own", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = Append(buf[:0], r)
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
