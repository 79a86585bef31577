package lambda

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzReadPrelude: what has come of a prelude decides nothing until its end is there, and then as the whole of it does.
func FuzzReadPrelude(f *testing.F) {
	f.Add([]byte(`{"statusCode":201,"headers":{"a":"b"}}`+preludeEnd+"body"), 9)
	f.Add([]byte(`{"cookies":["a=b\r\n"]}`+preludeEnd), 3)
	f.Add([]byte(strings.Repeat(" ", maxPrelude)+preludeEnd), maxPrelude)
	f.Fuzz(func(t *testing.T, payload []byte, at int) {
		at = min(max(at, 0), len(payload))
		part, n, err := ReadPrelude(payload[:at])
		whole, m, werr := ReadPrelude(payload)
		if part != nil && (err != nil || whole == nil || n != m || n > at || !bytes.Equal(payload[n-8:n], []byte(preludeEnd))) {
			t.Fatalf("%d of %q: %+v, %d, %v; whole %+v, %d, %v", at, payload, part, n, err, whole, m, werr)
		}
		if err != nil && werr == nil {
			t.Fatalf("%d of %q is refused, and the whole is not: %v", at, payload, err)
		}
		if whole == nil {
			return
		}
		for _, h := range whole.Header {
			if strings.ContainsAny(h.Name+h.Value, "\r\n\x00") || dropResponse(h.Name) {
				t.Fatalf("%q: %+v", payload, h)
			}
		}
		for _, c := range whole.Cookies {
			if strings.ContainsAny(c, "\r\n\x00") {
				t.Fatalf("%q: %q", payload, c)
			}
		}
	})
}
