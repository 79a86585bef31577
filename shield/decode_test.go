package shield

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"testing"

	"casemate"
)

func packed(t testing.TB, w io.WriteCloser, buf *bytes.Buffer, data []byte) []byte {
	t.Helper()
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zipped(t testing.TB, data []byte) []byte {
	var b bytes.Buffer
	return packed(t, gzip.NewWriter(&b), &b, data)
}

func deflated(t testing.TB, data []byte) []byte {
	var b bytes.Buffer
	return packed(t, zlib.NewWriter(&b), &b, data)
}

func TestDecode(t *testing.T) {
	plain := []byte("some plain text, ten bytes and more")
	bomb := zipped(t, make([]byte, 50<<20))
	for _, c := range []struct {
		name, encoding string
		raw            []byte
		max            int64
		code           casemate.Code
		ok             bool
	}{
		{"identity", "", plain, 100, 0, true},
		{"named identity", "Identity", plain, 100, 0, true},
		{"gzip", "gzip", zipped(t, plain), 100, 0, true},
		{"upper case", " GZIP ", zipped(t, plain), 100, 0, true},
		{"deflate", "deflate", deflated(t, plain), 100, 0, true},
		{"exactly the bound", "gzip", zipped(t, plain), int64(len(zipped(t, plain))), 0, true},
		{"plain too large", "", plain, 10, casemate.TooLarge, false},
		{"no bound given", "", plain, 0, casemate.TooLarge, false},
		{"bomb", "gzip", bomb, 1 << 20, casemate.TooLarge, false},
		{"deflate bomb", "deflate", deflated(t, make([]byte, 5<<20)), 1 << 20, casemate.TooLarge, false},
		{"unknown", "br", plain, 100, casemate.Invalid, false},
		{"stacked", "gzip, gzip", zipped(t, zipped(t, plain)), 200, casemate.Invalid, false},
		{"not gzip", "gzip", plain, 100, casemate.Invalid, false},
		{"cut", "gzip", zipped(t, plain)[:20], 100, casemate.Invalid, false},
		{"trailing", "deflate", append(deflated(t, plain), 'x'), 100, casemate.Invalid, false},
		{"trailing gzip", "gzip", append(zipped(t, plain), 'x'), 100, casemate.Invalid, false},
		{"empty gzip", "gzip", nil, 100, casemate.Invalid, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Decode(c.encoding, c.raw, c.max)
			if c.ok {
				if err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("got %q, %v", got, err)
				}
				return
			}
			if e := coded(t, err); e.Code != c.code || e.Hint == "" {
				t.Fatalf("%+v", e)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("gzip", zipped(f, []byte("x")))
	f.Add("deflate", deflated(f, []byte("x")))
	f.Fuzz(func(t *testing.T, encoding string, raw []byte) {
		out, err := Decode(encoding, raw, 1000)
		if err == nil && len(out) > 1000 {
			t.Fatalf("%d bytes came out of a bound of 1000", len(out))
		}
	})
}
