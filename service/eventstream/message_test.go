package eventstream

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"pgregory.net/rapid"
)

// decode reads messages as the AWS SDK for Go does, checksums included.
func decode(t testing.TB, data []byte) (out []eventstream.Message) {
	t.Helper()
	r := bytes.NewReader(data)
	for r.Len() > 0 {
		m, err := eventstream.NewDecoder().Decode(r, nil)
		if err != nil {
			t.Fatalf("after %d messages: %v", len(out), err)
		}
		out = append(out, m)
	}
	return out
}

// TestMessagesAreReadAsTheyWereWritten holds against the AWS SDK's own decoder.
func TestMessagesAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payloads := rapid.SliceOfN(rapid.SliceOf(rapid.Byte()), 1, 5).Draw(t, "payloads")
		name := rapid.StringMatching(`[A-Za-z]{1,40}`).Draw(t, "name")
		var data []byte
		for _, p := range payloads {
			data = Append(data, Event(name, "application/json"), p)
		}
		r := bytes.NewReader(data)
		for _, p := range payloads {
			m, err := eventstream.NewDecoder().Decode(r, nil)
			if err != nil || !bytes.Equal(m.Payload, p) || m.Headers.Get(":event-type").String() != name || m.Headers.Get(":message-type").String() != "event" || len(m.Headers) != 3 {
				t.Fatalf("%+v, %v", m, err)
			}
		}
		if r.Len() != 0 {
			t.Fatalf("%d bytes too many", r.Len())
		}
	})
}

// TestBounds: what does not fit is cut, and the message is a message all the same.
func TestBounds(t *testing.T) {
	long := strings.Repeat("n", 300)
	m := decode(t, Append(nil, []Header{{long, strings.Repeat("v", 1<<15)}}, make([]byte, MaxPayload+1)))
	if len(m) != 1 || len(m[0].Headers) != 1 || len(m[0].Headers[0].Name) != 255 || len(m[0].Headers[0].Value.String()) != 1<<15-1 || len(m[0].Payload) != MaxPayload {
		t.Errorf("%d messages", len(m))
	}
}

func FuzzAppend(f *testing.F) {
	f.Add("PayloadChunk", "application/octet-stream", []byte("x"))
	f.Fuzz(func(t *testing.T, name, media string, payload []byte) {
		if len(media) >= 1<<15 || len(payload) > MaxPayload {
			t.Skip()
		}
		m := decode(t, Append(nil, Event(name[:min(len(name), 1<<15-1)], media), payload))
		if len(m) != 1 || !bytes.Equal(m[0].Payload, payload) || m[0].Headers.Get(":content-type").String() != media {
			t.Fatalf("%+v", m)
		}
	})
}
