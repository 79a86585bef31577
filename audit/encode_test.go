package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
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

func TestRecordIsEncodedAsTheStandardLibraryDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r casemate.Record
		fill(t, reflect.ValueOf(&r).Elem())
		want, err := encodeLine(r)
		if err != nil {
			t.Skip(err)
		}
		got := append(appendRecord(nil, &r), '\n')
		if !bytes.Equal(got, want) {
			t.Fatalf("\n got %s\nwant %s", got, want)
		}
	})
}

func TestTextIsClippedAtACharacter(t *testing.T) {
	for pad := range 4 {
		s := strings.Repeat("x", pad) + strings.Repeat("€", maxText)
		b := appendText(nil, s)
		var back string
		if err := json.Unmarshal(b, &back); err != nil || len(b) > maxText+16 || strings.ContainsRune(back, utf8.RuneError) {
			t.Fatalf("pad %d: %d bytes, err %v", pad, len(b), err)
		}
	}
}

func TestEffectsAreBoundedAndTheRestCounted(t *testing.T) {
	r := record(1)
	for range 5000 {
		r.Effects = append(r.Effects, casemate.Effect{Kind: "resolve", Target: strings.Repeat("a", 300) + ".example"})
	}
	b := appendRecord(nil, r)
	var back casemate.Record
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	last := back.Effects[len(back.Effects)-1]
	if len(b) > 2*maxRecord || last.Kind != "omitted" || !strings.HasSuffix(last.Target, " more effects") || back.Outcome != r.Outcome {
		t.Fatalf("%d bytes, last effect %+v", len(b), last)
	}
}

func TestCredentialsNeverReachTheRecord(t *testing.T) {
	key := "ck_abcd1234_" + strings.Repeat("Zz9", 14)
	token := "eyJhbGciOiJFUzI1NiJ9." + strings.Repeat("abc-_", 20) + ".c2ln"
	r := record(1)
	r.Resource, r.Outcome.Detail, r.Points[0].Reason = "/reset/"+token+"/x", "failed with "+key, key+"."+token
	b := appendRecord(nil, r)
	if bytes.Contains(b, []byte("Zz9Zz9")) || bytes.Contains(b, []byte("abc-_abc")) {
		t.Fatalf("leaked: %s", b)
	}
	var back casemate.Record
	if err := json.Unmarshal(b, &back); err != nil || back.Resource != "/reset/[redacted]/x" || back.Principal != "key/ck_1" {
		t.Fatalf("%v: %+v", err, back)
	}
	var opening casemate.Record
	if err := json.Unmarshal(appendOpening(nil, r), &opening); err != nil || opening.Resource != back.Resource {
		t.Fatalf("opening: %v %q", err, opening.Resource)
	}
}

func TestOpeningAlwaysFitsItsSlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r casemate.Record
		fill(t, reflect.ValueOf(&r).Elem())
		r.ID = rapid.StringMatching(`[a-f0-9#-]{1,128}`).Draw(t, "id")
		r.Resource = strings.Repeat(r.Resource+"\x00", rapid.IntRange(1, 100).Draw(t, "times"))
		b := appendOpening(make([]byte, slotHead), &r)
		var back casemate.Record
		if err := json.Unmarshal(b[slotHead:], &back); err != nil || len(b) > slotSize || back.ID != r.ID {
			t.Fatalf("%d bytes, id %q, err %v: %s", len(b), back.ID, err, b)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	r := record(1)
	buf := make([]byte, 0, 4096)
	b.Run("own", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = appendRecord(buf[:0], r)
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
