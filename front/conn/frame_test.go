package conn

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/net/http2"
)

// FuzzScanner: frames are found alike however the bytes are cut, and as golang.org/x/net/http2 finds them.
func FuzzScanner(f *testing.F) {
	f.Add([]byte("\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00\x04\x01\x00\x00\x00\x00"), uint8(3), true)
	f.Add([]byte("\x00\x00\x05\x00\x01\x00\x00\x00\x01hello\x00\x00\x08\x06\x00\x00\x00\x00\x00"), uint8(0), false)
	f.Add([]byte("\x00\x00\x02\x03\x00\x00\x00\x00\x01xx\x00\x00\x06\x03\x00\x00\x00\x00\x01\x00\x00\x00\x0byy"), uint8(1), false)
	f.Fuzz(func(t *testing.T, b []byte, step uint8, preface bool) {
		start := scanner{}
		text := b
		if preface {
			start.preface, text = prefaceBytes, append([]byte(http2.ClientPreface), b...)
		}
		scan := func(step int) (all []frame) {
			s := start
			for rest := text; len(rest) > 0; {
				part := rest[:min(step, len(rest))]
				rest = rest[len(part):]
				for len(part) > 0 {
					f, left, ok := s.next(part)
					if part = left; ok {
						all = append(all, f)
					}
				}
			}
			return all
		}
		whole := scan(len(text) + 1)
		if cut := scan(int(step) + 1); !slices.Equal(whole, cut) {
			t.Fatalf("%v in one piece, %v in pieces of %d", whole, cut, int(step)+1)
		}
		for r := bytes.NewReader(b); len(whole) > 0; whole = whole[1:] {
			h, err := http2.ReadFrameHeader(r)
			if err != nil {
				t.Fatalf("%v, and then %v", err, whole[0])
			}
			if w := whole[0]; int(h.Length) != w.length || byte(h.Type) != w.kind || byte(h.Flags) != w.flags || h.StreamID != w.stream {
				t.Fatalf("%v, not %+v", h, w)
			}
			if _, err := r.Seek(int64(h.Length), 1); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestGoAwayIsAFrame(t *testing.T) {
	f, err := http2.NewFramer(nil, bytes.NewReader(goAway(7, codeCalm))).ReadFrame()
	if g, ok := f.(*http2.GoAwayFrame); err != nil || !ok || g.LastStreamID != 7 || g.ErrCode != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("%v, %v", f, err)
	}
}
