package peek

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"

	"pgregory.net/rapid"
)

// clientHello is what the standard library's client sends first.
func clientHello(t testing.TB, name string) []byte {
	t.Helper()
	client, server := net.Pipe()
	go func() {
		_ = tls.Client(client, &tls.Config{ServerName: name, InsecureSkipVerify: name == ""}).Handshake()
	}()
	defer client.Close()
	defer server.Close()
	head := make([]byte, 5)
	if _, err := io.ReadFull(server, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(server, body); err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}

// inRecords cuts the message of a hello into records of size bytes.
func inRecords(hello []byte, size int) []byte {
	var out []byte
	for message := hello[5:]; len(message) > 0; {
		n := min(size, len(message))
		out = append(append(out, 0x16, 3, 1, byte(n>>8), byte(n)), message[:n]...)
		message = message[n:]
	}
	return out
}

// withExtension puts one more extension at the end of a hello.
func withExtension(hello []byte, kind uint16, body []byte) []byte {
	out := bytes.Clone(hello)
	at := 5 + 4 + 2 + 32
	at += 1 + int(out[at])
	at += 2 + int(out[at])<<8 + int(out[at+1])
	at += 1 + int(out[at])
	grow := func(i, size int) {
		n := 0
		for k := range size {
			n = n<<8 | int(out[i+k])
		}
		n += 4 + len(body)
		for k := size - 1; k >= 0; k-- {
			out[i+k] = byte(n)
			n >>= 8
		}
	}
	grow(3, 2)
	grow(6, 3)
	grow(at, 2)
	return append(append(out, byte(kind>>8), byte(kind), byte(len(body)>>8), byte(len(body))), body...)
}

func TestHello(t *testing.T) {
	hello := clientHello(t, "api.example.com")
	nameless := clientHello(t, "")
	sni := append([]byte{0, 8, 0, 0, 5}, "x.org"...)
	for name, c := range map[string]struct {
		data []byte
		want string
		err  error
	}{
		"as it comes":        {hello, "api.example.com", nil},
		"with more behind":   {append(bytes.Clone(hello), "early data"...), "api.example.com", nil},
		"in small records":   {inRecords(hello, 40), "api.example.com", nil},
		"in tiny records":    {inRecords(hello, 1), "", ErrHello},
		"capitals":           {bytes.ReplaceAll(hello, []byte("api.example"), []byte("API.Example")), "api.example.com", nil},
		"no name":            {nameless, "", ErrNoName},
		"last dot":           {withExtension(nameless, 0, append([]byte{0, 9, 0, 0, 6}, "x.org."...)), "x.org", nil},
		"two names":          {withExtension(hello, 0, sni), "", ErrHello},
		"encrypted":          {withExtension(hello, 0xfe0d, []byte{0, 0}), "", ErrHidden},
		"name with zero":     {bytes.ReplaceAll(hello, []byte("api.example"), []byte("api\x00example")), "", ErrHello},
		"name with space":    {bytes.ReplaceAll(hello, []byte("api.example"), []byte("api example")), "", ErrHello},
		"empty list":         {withExtension(nameless, 0, nil), "", ErrHello},
		"name of 0 bytes":    {withExtension(nameless, 0, []byte{0, 3, 0, 0, 0}), "", ErrHello},
		"other kind":         {withExtension(nameless, 0, []byte{0, 4, 1, 0, 1, 'x'}), "", ErrHello},
		"list too long":      {withExtension(nameless, 0, append([]byte{0, 9, 0, 0, 5}, "x.org"...)), "", ErrHello},
		"another record":     {append([]byte{0x15, 3, 1, 0, 2, 1, 0}, hello...), "", ErrHello},
		"another message":    {append([]byte{0x16, 3, 1, 0, 1}, 2), "", ErrHello},
		"empty record":       {append([]byte{0x16, 3, 1, 0, 0}, hello...), "", ErrHello},
		"too large":          {[]byte{0x16, 3, 1, 0, 4, 1, 0, 0x41, 0}, "", ErrHello},
		"record too large":   {[]byte{0x16, 3, 1, 0x41, 0, 1}, "", ErrHello},
		"no extensions":      {append([]byte{0x16, 3, 1, 0, 42, 1, 0, 0, 38, 3, 3}, make([]byte, 36)...), "", ErrNoName},
		"truncated inside":   {append([]byte{0x16, 3, 1, 0, 10, 1, 0, 0, 6, 3, 3}, make([]byte, 4)...), "", ErrHello},
		"SSL 3.0 in the TLS": {append([]byte{0x16, 3, 0, 0, 42, 1, 0, 0, 38, 3, 0}, make([]byte, 36)...), "", ErrHello},
	} {
		got, more, err := Hello(c.data)
		if got != c.want || err != c.err || more {
			t.Errorf("%s: %q, %v, %v", name, got, more, err)
		}
	}
	for n := range len(hello) {
		if got, more, err := Hello(hello[:n]); !more || got != "" || err != nil {
			t.Fatalf("%d of %d bytes: %q, %v, %v", n, len(hello), got, more, err)
		}
	}
}

// canned is a connection whose other side said its piece and went.
type canned struct {
	net.Conn
	*bytes.Reader
}

func (c canned) Read(b []byte) (int, error)  { return c.Reader.Read(b) }
func (c canned) Write(b []byte) (int, error) { return len(b), nil }
func (c canned) Close() error                { return nil }

// serverReads is the name that the standard library's server takes from a client's first bytes; "" when it takes none.
func serverReads(data []byte) (name string) {
	_ = tls.Server(canned{Reader: bytes.NewReader(data)}, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name = h.ServerName
		return nil, io.EOF
	}}).Handshake() // it always fails: only the name is of interest
	return Canonical(name)
}

// A hello that a server takes, however damaged, is read in the same way here, or refused.
func TestHelloIsReadAsServersDo(t *testing.T) {
	hellos := [][]byte{clientHello(t, "api.example.com"), inRecords(clientHello(t, "api.example.com"), 60), withExtension(clientHello(t, ""), 0, append([]byte{0, 9, 0, 0, 6}, "x.org."...))}
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		data := bytes.Clone(rapid.SampledFrom(hellos).Draw(t, "hello"))
		for range rapid.IntRange(0, 3).Draw(t, "damages") {
			data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		name, more, err := Hello(data)
		if server := serverReads(data); server != "" && err == nil && (more || server != name) {
			t.Fatalf("a server reads %q, we %q", server, name)
		} else if server != "" && server == name {
			taken++
		}
	})
	if taken == 0 {
		t.Error("no hello was read")
	}
}

func FuzzHello(f *testing.F) {
	hello := clientHello(f, "api.example.com")
	f.Add(hello)
	f.Add(inRecords(hello, 50))
	f.Add(withExtension(hello, 0xfe0d, []byte{0}))
	f.Add(clientHello(f, ""))
	f.Fuzz(func(t *testing.T, data []byte) {
		name, more, err := Hello(data)
		switch {
		case name != "" && (more || err != nil), name == "" && !more && err == nil, name != Canonical(name):
			t.Fatalf("%q, %v, %v", name, more, err)
		case len(data) == 0:
			return
		}
		// What is known does not change with what comes behind it.
		again, _, _ := Hello(append(bytes.Clone(data), data...))
		before, moreBefore, _ := Hello(data[:len(data)-1])
		if !more && again != name || !moreBefore && before != name {
			t.Fatalf("%q, then %q, before %q", name, again, before)
		}
	})
}
