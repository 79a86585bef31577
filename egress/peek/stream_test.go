package peek

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func forExample() *Stream {
	return &Stream{Named: func(host string, port uint16) bool { return host == "a.example" && (port == 0 || port == 80) }}
}

// feed gives data in pieces and collects what passes.
func feed(s *Stream, data []byte, piece func(left int) int) (passed []byte, err error) {
	var kept []byte
	for len(data) > 0 {
		n := piece(len(data))
		kept, data = append(kept, data[:n]...), data[n:]
		pass, err := s.Feed(kept)
		if err != nil {
			return passed, err
		}
		passed, kept = append(passed, kept[:pass]...), kept[pass:]
	}
	return passed, nil
}

func whole(left int) int { return left }

func TestStreamPasses(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
	for name, text := range map[string]string{
		"a request":           get,
		"two":                 get + get,
		"capitals and port":   "GET / HTTP/1.1\r\nhOST:\tA.Example.:80 \r\n\r\n",
		"absolute":            "GET http://a.example/x?http://b.example HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"options":             "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"1.0":                 "GET / HTTP/1.0\r\nHost: a.example\r\n\r\n",
		"a body":              "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nHost:" + get,
		"chunks":              "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n4;x=\"y\"\r\nwiki\r\n00a\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n" + get,
		"upgrade to HTTP/2":   "GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: h2c\r\n\r\n" + get,
		"binary":              "\x00\x00\x00\x08\x04\xd2\x16\x2fHost: b.example\r\n\r\n",
		"redis":               "*1\r\n$4\r\nPING\r\nGET / HTTP/1.1\r\nHost: b.example\r\n\r\n",
		"ssh":                 "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\x00\x01",
		"a modem":             "AT+CGMI\rAT\r",
		"a word":              "hello",
		"one long word":       strings.Repeat("QUJD", 100000),
		"AMQP":                "AMQP\x00\x00\x09\x01",
		"a byte over 0x80":    "\xff\xfb\x01",
		"looks like TLS":      "\x16\x01\x02",
		"HTTP before its end": "GET / HTTP/1.1",
	} {
		passed, err := feed(forExample(), []byte(text), whole)
		if err != nil || string(passed) != text {
			t.Errorf("%s: %v, passed %.80q", name, err, passed)
		}
	}
}

func TestStreamRefuses(t *testing.T) {
	const host = "Host: a.example\r\n"
	mismatch := errors.New("a mismatch")
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"another host":          {"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n", mismatch},
		"a longer host":         {"GET / HTTP/1.1\r\nHost: a.example.b\r\n\r\n", mismatch},
		"another port":          {"GET / HTTP/1.1\r\nHost: a.example:81\r\n\r\n", mismatch},
		"no host":               {"GET / HTTP/1.1\r\n\r\n", ErrNoHost},
		"an empty host":         {"GET / HTTP/1.1\r\nHost:\r\n\r\n", ErrNoHost},
		"two hosts":             {"GET / HTTP/1.1\r\n" + host + "Host: b.example\r\n\r\n", ErrNoHost},
		"the same host twice":   {"GET / HTTP/1.1\r\n" + host + host + "\r\n", ErrNoHost},
		"a list of hosts":       {"GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n", ErrNoHost},
		"a user":                {"GET http://a.example@b.example/ HTTP/1.1\r\n" + host + "\r\n", ErrNoHost},
		"a user in the host":    {"GET / HTTP/1.1\r\nHost: x@a.example\r\n\r\n", ErrNoHost},
		"absolute elsewhere":    {"GET http://b.example/ HTTP/1.1\r\n" + host + "\r\n", mismatch},
		"absolute, no slash":    {"GET HTTPS://b.example HTTP/1.1\r\n" + host + "\r\n", mismatch},
		"absolute, backslash":   {"GET http://b.example\\@a.example/ HTTP/1.1\r\n" + host + "\r\n", mismatch},
		"another scheme":        {"GET ftp://a.example/ HTTP/1.1\r\n" + host + "\r\n", ErrRequest},
		"no slash":              {"GET b.example/ HTTP/1.1\r\n" + host + "\r\n", ErrRequest},
		"HTTP/0.9 elsewhere":    {"GET http://b.example/\r\n", ErrRequest},
		"HTTP/0.9, odd spaces":  {"get \t HTTPS://b.example/ x\n", ErrRequest},
		"a tunnel":              {"CONNECT a.example:80 HTTP/1.1\r\n" + host + "\r\n", ErrTunnel},
		"a small tunnel":        {"connect a.example:80 HTTP/1.1\r\n" + host + "\r\n", ErrTunnel},
		"HTTP/2":                {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ErrPrior},
		"a second host":         {"GET / HTTP/1.1\r\n" + host + "\r\nGET / HTTP/1.1\r\nHost: b.example\r\n\r\n", mismatch},
		"behind a body":         {"POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: b.example\r\n\r\n", mismatch},
		"behind chunks":         {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: b.example\r\n\r\n", mismatch},
		"length and chunks":     {"POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", ErrFraming},
		"two lengths":           {"POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", ErrFraming},
		"a list of lengths":     {"POST / HTTP/1.1\r\n" + host + "Content-Length: 3, 3\r\n\r\n", ErrFraming},
		"a length with a sign":  {"POST / HTTP/1.1\r\n" + host + "Content-Length: +3\r\n\r\n", ErrFraming},
		"a negative length":     {"POST / HTTP/1.1\r\n" + host + "Content-Length: -3\r\n\r\n", ErrFraming},
		"another coding":        {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", ErrFraming},
		"chunked twice":         {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", ErrFraming},
		"chunks in 1.0":         {"POST / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n", ErrFraming},
		"a space before colon":  {"GET / HTTP/1.1\r\nHost : a.example\r\n\r\n", ErrRequest},
		"a folded line":         {"GET / HTTP/1.1\r\n" + host + "X: a\r\n Host: b.example\r\n\r\n", ErrRequest},
		"a bare LF":             {"GET / HTTP/1.1\r\n" + host + "X: a\nHost: b.example\r\n\r\n", ErrRequest},
		"a bare CR":             {"GET / HTTP/1.1\r\n" + host + "X: a\rHost: b.example\r\n\r\n", ErrRequest},
		"only LF":               {"GET / HTTP/1.1\nHost: b.example\n\n", ErrRequest},
		"only CR":               {"GET / HTTP/1.1\rHost: b.example\r\r", ErrRequest},
		"a NUL":                 {"GET / HTTP/1.1\r\n" + host + "X: \x00\r\n\r\n", ErrRequest},
		"a leading line":        {"\r\nGET / HTTP/1.1\r\nHost: b.example\r\n\r\n", ErrRequest},
		"a leading space":       {" GET / HTTP/1.1\r\nHost: b.example\r\n\r\n", ErrRequest},
		"many leading lines":    {strings.Repeat("\r\n", 10) + "x", ErrRequest},
		"tabs":                  {"GET\t/\tHTTP/1.1\r\nHost: b.example\r\n\r\n", ErrRequest},
		"two spaces":            {"GET  / HTTP/1.1\r\nHost: b.example\r\n\r\n", ErrRequest},
		"a control in the path": {"GET /\x01 HTTP/1.1\r\nHost: b.example\r\n\r\n", ErrRequest},
		"a small version":       {"GET / http/1.1\r\nHost: b.example\r\n\r\n", ErrRequest},
		"something behind":      {"GET / HTTP/1.1 x\r\nHost: b.example\r\n\r\n", ErrRequest},
		"a chunk without end":   {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", ErrFraming},
		"a chunk of LF":         {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n", ErrFraming},
		"an LF in an extension": {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1;\n\r\na\r\n", ErrFraming},
		"a chunk with 0x":       {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n", ErrFraming},
		"a huge chunk":          {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\na\r\n", ErrFraming},
		"an endless line":       {"GET /" + strings.Repeat("x", MaxHead), ErrTooLong},
		"an endless head":       {"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", MaxHead), ErrTooLong},
		"an endless trailer":    {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 70), ErrFraming},
		"SSL 2.0":               {"\x80\x2e\x01\x03\x01\x00\x15", ErrOldTLS},
		"TLS before a hello":    {"\x15\x03\x01\x00\x02\x01\x00", ErrHello},
	} {
		for _, piece := range []func(int) int{whole, func(int) int { return 1 }} {
			passed, err := feed(forExample(), []byte(c.text), piece)
			if c.want == mismatch && !errors.As(err, new(*Mismatch)) || c.want != mismatch && err != c.want {
				t.Errorf("%s: %v", name, err)
			}
			if i := bytes.Index(passed, []byte("b.example\r\n")); i >= 0 {
				t.Errorf("%s: passed %q", name, passed)
			}
		}
	}
}

func TestStreamTLS(t *testing.T) {
	for _, c := range []struct {
		name     string
		nameless bool
		want     error
	}{{"a.example", false, nil}, {"b.example", false, &Mismatch{}}, {"", false, ErrNoName}, {"", true, nil}} {
		s := forExample()
		s.Nameless = c.nameless
		data := append(clientHello(t, c.name), "more"...)
		passed, err := feed(s, data, func(left int) int { return min(left, 7) })
		m := &Mismatch{}
		if c.want == nil != (err == nil) || errors.Is(c.want, ErrNoName) != errors.Is(err, ErrNoName) || errors.As(c.want, &m) != errors.As(err, &m) {
			t.Errorf("%q: %v", c.name, err)
		}
		if err == nil && (!bytes.Equal(passed, data) || !s.Raw()) || err != nil && len(passed) > 0 {
			t.Errorf("%q: passed %d of %d bytes", c.name, len(passed), len(data))
		}
	}
}

// PostgreSQL asks for TLS in its own words first. The handshake behind need not name the host, but not another one.
func TestStreamPostgres(t *testing.T) {
	const ssl, gss = "\x00\x00\x00\x08\x04\xd2\x16\x2f", "\x00\x00\x00\x08\x04\xd2\x16\x30"
	for name, c := range map[string]struct {
		data string
		ok   bool
	}{
		"right":     {ssl + string(clientHello(t, "a.example")), true},
		"nameless":  {ssl + string(clientHello(t, "")), true},
		"wrong":     {ssl + string(clientHello(t, "b.example")), false},
		"GSS first": {gss + ssl + string(clientHello(t, "b.example")), false},
		"HTTP":      {ssl + "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n", false},
		"clear":     {ssl + "\x00\x00\x00\x10\x00\x03\x00\x00user\x00x\x00\x00", true},
		"something": {"\x00\x00\x00\x08\x04\xd2\x16\x31" + string(clientHello(t, "b.example")), true},
		"ping pong": {"\x00", true},
	} {
		for _, piece := range []func(int) int{whole, func(int) int { return 1 }} {
			passed, err := feed(forExample(), []byte(c.data), piece)
			if c.ok != (err == nil) || c.ok && string(passed) != c.data {
				t.Errorf("%s: %v, passed %d of %d bytes", name, err, len(passed), len(c.data))
			}
		}
	}
}

// A WebSocket is granted by the server's answer alone; without it the bytes behind are another request.
func TestStreamWaitsForASwitch(t *testing.T) {
	const ask = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	const evil = "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n"
	for _, granted := range []bool{true, false} {
		s := forExample()
		data := []byte(ask + evil)
		n, err := s.Feed(data)
		if n != len(ask) || err != nil || !s.Waiting() {
			t.Fatalf("passed %d, %v", n, err)
		}
		s.Switch(granted)
		if n, err = s.Feed(data[n:]); granted != (err == nil) || granted != (n == len(evil)) {
			t.Errorf("granted %v: passed %d, %v", granted, n, err)
		}
	}
	s := forExample()
	if passed, err := feed(s, []byte("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"+ask+evil), whole); err == nil {
		t.Errorf("a later request switched: passed %q", passed)
	}
}

// However the bytes arrive, the same ones pass.
func TestStreamIsOfBytesNotOfPieces(t *testing.T) {
	pieces := []string{"GET / HTTP/1.1\r\n", "Host: a.example\r\n", "Host: b.example\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 2\r\n", "\r\n", "0\r\n", "2\r\nab\r\n", "POST http://a.example/ HTTP/1.1\r\n",
		"X: y\r\n", "\n", "ab", "\x16\x03\x01", "PING\r\n", " "}
	rapid.Check(t, func(t *rapid.T) {
		data := []byte(strings.Join(rapid.SliceOf(rapid.SampledFrom(pieces)).Draw(t, "pieces"), ""))
		one, errOne := feed(forExample(), data, whole)
		many, errMany := feed(forExample(), data, func(left int) int { return rapid.IntRange(1, left).Draw(t, "n") })
		if (errOne == nil) != (errMany == nil) || errOne == nil && !bytes.Equal(one, many) {
			t.Fatalf("%v and %q, %v and %q", errOne, one, errMany, many)
		}
	})
}

// FuzzStream: of all that passes, the standard library's server reads no request for another host.
func FuzzStream(f *testing.F) {
	for _, s := range []string{"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nab\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: b.example\r\n\r\n",
		"POST http://a.example:80 HTTP/1.0\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n\r\n", "\r\n\nGET / HTTP/1.1\r\n", "\x00\x00\x00\x08\x04\xd2\x16\x2f\x16\x03\x01", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "*1\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := forExample()
		passed, _ := feed(s, data, whole)
		r := bufio.NewReader(bytes.NewReader(passed))
		for first := true; ; first = false {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if s.mode == raw && first && s.line != nil {
				t.Fatalf("raw, but a server reads a request for %q", req.Host)
			}
			if host, _, ok := Authority(req.Host); !ok || host != "a.example" {
				t.Fatalf("a server reads a request for %q in %q", req.Host, passed)
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return
			}
		}
	})
}
