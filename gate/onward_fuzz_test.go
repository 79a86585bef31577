package gate

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"casemate"
)

// FuzzEnds: whatever a function got and answered, the record of its end is JSON that holds both, and its dead letter is a text of
// AWS's bounds.
func FuzzEnds(f *testing.F) {
	f.Add([]byte(`{"a":"<&>"}`), []byte(`{"errorMessage":"no","errorType":"E"}`), "Unhandled")
	f.Add([]byte("\xff"), []byte(`{"errorMessage":"`+string(bytes.Repeat([]byte("ä"), 600))+`"}`), "")
	f.Add([]byte(nil), []byte("text"), "Handled")
	f.Fuzz(func(t *testing.T, payload, answer []byte, failure string) {
		q := &queued{ID: "e1", ARN: "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST", Payload: payload}
		x := end{condition: endRetries, runs: 3, res: &casemate.Result{Payload: answer, Failure: casemate.Failure(failure)}}
		b, err := x.record(q, time.Unix(0, 0))
		var r invocation
		if err != nil || json.Unmarshal(b, &r) != nil || !utf8.Valid(b) && utf8.Valid(payload) && utf8.Valid(answer) {
			t.Fatalf("%q: %v", b, err)
		}
		if json.Valid(payload) && !sameJSON(r.RequestPayload, payload) || json.Valid(answer) && !sameJSON(r.ResponsePayload, answer) {
			t.Errorf("%s of %q and %q", b, payload, answer)
		}
		for _, a := range x.letter(q) {
			if len(a.Value) > maxErrorMessage || utf8.Valid(answer) && utf8.ValidString(failure) && !utf8.ValidString(a.Value) {
				t.Errorf("%s: %q", a.Name, a.Value)
			}
		}
	})
}

// sameJSON compares what two texts say.
func sameJSON(a, b []byte) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && x.String() == y.String()
}

// FuzzQueued: whatever stands in the queue, a delivery ends, and nothing that cannot be read runs.
func FuzzQueued(f *testing.F) {
	f.Add([]byte(`{"id":"e1","onward":{"to":"arn:aws:sqs:us-east-1:000000000000:q"}}`))
	f.Add([]byte(`{"id":"e1","function":"f","target":{"Function":"f"},"once":{"key":"k"}}`))
	f.Add([]byte(`{"onward":null,"max_age":-1}`))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, q := newRig(), &memQueue{}
		g := r.gate(t, q)
		g.c.Keys = keyring{}
		if err := q.Put(t.Context(), "e1", "", data); err != nil {
			t.Fatal(err)
		}
		d, err := q.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := g.deliver(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if q.done == 0 && len(q.items) == 0 {
			t.Error("it is neither done nor queued")
		}
		if again, err := Again(data, time.Unix(0, 0)); err == nil && !json.Valid(again) {
			t.Errorf("again: %q", again)
		}
	})
}

// FuzzIdempotencyKey: a key that is taken is printable and bounded, and the same in quotes.
func FuzzIdempotencyKey(f *testing.F) {
	for _, s := range []string{`"a\"b"`, "8e03978e-40d5", `""`, " a ", `"a`, "a,b", `"a\\"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		key, err := casemate.ParseIdempotencyKey(header)
		if err != nil {
			return
		}
		if key == "" || len(key) > casemate.MaxIdempotencyKey {
			t.Fatalf("%q of %q", key, header)
		}
		var quoted bytes.Buffer
		quoted.WriteByte('"')
		for i := range len(key) {
			if key[i] < ' ' || key[i] > '~' {
				t.Fatalf("%q of %q", key, header)
			}
			if key[i] == '"' || key[i] == '\\' {
				quoted.WriteByte('\\')
			}
			quoted.WriteByte(key[i])
		}
		quoted.WriteByte('"')
		if again, err := casemate.ParseIdempotencyKey(quoted.String()); err != nil || again != key {
			t.Errorf("%q becomes %q, %v", key, again, err)
		}
	})
}
