package sigv4

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
)

// upload is a client that signs a body in chunks, as AWS's documentation says it
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html); it shares no code with the reader.
type upload struct {
	key   []byte
	scope string
	last  string
	body  bytes.Buffer
}

func hexHMAC(key []byte, text string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

func (u *upload) chunk(data []byte) {
	sum := sha256.Sum256(data)
	u.last = hexHMAC(u.key, "AWS4-HMAC-SHA256-PAYLOAD\n"+u.scope+"\n"+u.last+"\n"+Empty+"\n"+hex.EncodeToString(sum[:]))
	fmt.Fprintf(&u.body, "%x;chunk-signature=%s\r\n", len(data), u.last)
	if len(data) > 0 {
		u.body.Write(data)
		u.body.WriteString("\r\n")
	}
}

func (u *upload) end(trailer string) {
	u.chunk(nil)
	if trailer != "" {
		sum := sha256.Sum256([]byte(trailer + "\n"))
		u.last = hexHMAC(u.key, "AWS4-HMAC-SHA256-TRAILER\n"+u.scope+"\n"+u.last+"\n"+hex.EncodeToString(sum[:]))
		u.body.WriteString(trailer + "\r\nx-amz-trailer-signature:" + u.last + "\r\n")
	}
	u.body.WriteString("\r\n")
}

// sent is an upload of the documentation's example: 66560 bytes in chunks of 65536.
func sent(t testing.TB, trailer string, chunks ...int) (*Signature, *casemate.Signed, [32]byte, *upload) {
	t.Helper()
	at := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	g := &Signature{Day: "20130524", Region: "us-east-1", Service: "s3", At: at, Claimed: Chunked}
	key := Key(exampleSecret, g.Day, g.Region, g.Service)
	total := 0
	u := &upload{key: key[:], scope: "20130524T000000Z\n20130524/us-east-1/s3/aws4_request", last: hex.EncodeToString(g.mac[:])}
	for _, n := range chunks {
		u.chunk(bytes.Repeat([]byte("a"), n))
		total += n
	}
	u.end(trailer)
	s := &casemate.Signed{Header: map[string][]string{"x-amz-decoded-content-length": {fmt.Sprint(total)}}}
	if name, _, ok := strings.Cut(trailer, ":"); ok {
		g.Claimed = ChunkedTrailer
		s.Header["x-amz-trailer"] = []string{name}
	}
	return g, s, key, u
}

// TestPublishedChunks is the example of AWS's documentation, with the signatures that it gives.
func TestPublishedChunks(t *testing.T) {
	g := &Signature{Day: "20130524", Region: "us-east-1", Service: "s3", At: time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC), Claimed: Chunked}
	if _, err := hex.Decode(g.mac[:], []byte("4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")); err != nil {
		t.Fatal(err)
	}
	body := "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + strings.Repeat("a", 65536) +
		"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + strings.Repeat("a", 1024) +
		"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
	s := &casemate.Signed{Header: map[string][]string{"x-amz-decoded-content-length": {"66560"}}}
	r, err := g.Chunks(s, Key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", g.Day, g.Region, g.Service), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || len(got) != 66560 || strings.Trim(string(got), "a") != "" {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestChunksOfAnySize(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sizes := append(rapid.SliceOfN(rapid.IntRange(leastChunk, 3*leastChunk), 0, 4).Draw(rt, "chunks"), rapid.IntRange(1, leastChunk).Draw(rt, "last"))
		trailer := rapid.SampledFrom([]string{"", "x-amz-checksum-crc32:AAAAAA=="}).Draw(rt, "trailer")
		g, s, key, u := sent(t, trailer, sizes...)
		r, err := g.Chunks(s, key, &u.body)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if want, _ := Decoded(s); err != nil || int64(len(got)) != want {
			rt.Fatalf("%d of %d bytes, %v", len(got), want, err)
		}
	})
}

// TestAttacksOnChunks: whatever is changed, no byte that was not signed comes out, and the body does not end well.
func TestAttacksOnChunks(t *testing.T) {
	const trailer = "x-amz-checksum-crc32:AAAAAA=="
	whole := func(s string) string { return s }
	for name, c := range map[string]struct {
		trailer string
		chunks  []int
		attack  func(string) string
		header  func(map[string][]string)
	}{
		"a changed byte": {"", []int{9000, 10}, func(s string) string { return strings.Replace(s, "aaaa", "aaba", 1) }, nil},
		"a changed last": {"", []int{9000, 10}, func(s string) string { i := strings.LastIndex(s, "aa"); return s[:i] + "b" + s[i+1:] }, nil},
		"a chunk gone":   {"", []int{9000, 9000, 10}, func(s string) string { i := strings.Index(s[1:], "2328;") + 1; return s[i:] }, nil},
		"chunks swapped": {"", []int{9000, 9001, 10}, func(s string) string {
			i, j := strings.Index(s, "2329;"), strings.Index(s, "a;chunk")
			return s[i:j] + s[:i] + s[j:]
		}, nil},
		"cut off":            {"", []int{9000, 10}, func(s string) string { return s[:9000] }, nil},
		"no last chunk":      {"", []int{9000, 10}, func(s string) string { return s[:strings.Index(s, "\r\n0;")+2] }, nil},
		"only the last":      {"", []int{9000, 10}, func(s string) string { return s[strings.Index(s, "\r\n0;")+2:] }, nil},
		"something behind":   {"", []int{9000, 10}, func(s string) string { return s + "GET / HTTP/1.1\r\n" }, nil},
		"a longer length":    {"", []int{9000, 10}, whole, func(h map[string][]string) { h["x-amz-decoded-content-length"] = []string{"9011"} }},
		"a shorter length":   {"", []int{9000, 10}, whole, func(h map[string][]string) { h["x-amz-decoded-content-length"] = []string{"9000"} }},
		"small chunks":       {"", []int{10, 10}, whole, nil},
		"a giant chunk":      {"", []int{10}, func(s string) string { return "7fffffff" + s[1:] }, nil},
		"a negative chunk":   {"", []int{10}, func(s string) string { return "-a" + s[1:] }, nil},
		"no signature":       {"", []int{10}, func(s string) string { return "a\r\n" + strings.Repeat("a", 10) + "\r\n0\r\n\r\n" }, nil},
		"bare line feeds":    {"", []int{10}, func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }, nil},
		"an endless line":    {"", []int{10}, func(string) string { return strings.Repeat("0", 1<<20) }, nil},
		"nothing":            {"", []int{10}, func(string) string { return "" }, nil},
		"a changed trailer":  {trailer, []int{10}, func(s string) string { return strings.Replace(s, "AAAAAA", "AAAAAB", 1) }, nil},
		"no trailer":         {trailer, []int{10}, func(s string) string { return strings.Replace(s, trailer+"\r\n", "", 1) }, nil},
		"unsigned trailer":   {trailer, []int{10}, func(s string) string { return s[:strings.Index(s, "x-amz-trailer-s")] + "\r\n" }, nil},
		"one more trailer":   {trailer, []int{10}, func(s string) string { return strings.Replace(s, trailer, trailer+"\r\nx-amz-meta-a:b", 1) }, nil},
		"a trailer too many": {"", []int{10}, func(s string) string { return strings.TrimSuffix(s, "\r\n") + trailer + "\r\n\r\n" }, nil},
	} {
		g, s, key, u := sent(t, c.trailer, c.chunks...)
		if c.header != nil {
			c.header(s.Header)
		}
		r, err := g.Chunks(s, key, strings.NewReader(c.attack(u.body.String())))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := io.ReadAll(r)
		if err == nil || casemate.CodeOf(err) != casemate.Unauthenticated || strings.Trim(string(got), "a") != "" {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if _, again := r.Read(make([]byte, 1)); again != err && again == nil {
			t.Errorf("%s: it goes on after an error", name)
		}
	}
	g, s, key, u := sent(t, "", 10)
	key[0]++
	r, err := g.Chunks(s, key, &u.body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); err == nil {
		t.Error("another key opens it")
	}
	for name, header := range map[string]map[string][]string{
		"no length": {}, "a malformed length": {"x-amz-decoded-content-length": {"+1"}}, "two lengths": {"x-amz-decoded-content-length": {"1", "1"}},
		"a trailer that was not claimed": {"x-amz-decoded-content-length": {"1"}, "x-amz-trailer": {"a"}},
	} {
		if _, err := g.Chunks(&casemate.Signed{Header: header}, key, nil); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	g.Claimed = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	if _, err := g.Chunks(s, key, nil); err == nil {
		t.Error("unsigned chunks are taken")
	}
}

func FuzzChunks(f *testing.F) {
	_, _, _, u := sent(f, "", 9000, 10)
	f.Add(u.body.Bytes(), "")
	_, _, _, u = sent(f, "x-amz-checksum-crc32:AAAAAA==", 10)
	f.Add(u.body.Bytes(), "x-amz-checksum-crc32")
	f.Add([]byte("0;chunk-signature=\r\n\r\n"), "a,b")
	f.Fuzz(func(t *testing.T, body []byte, trailer string) {
		g := &Signature{Day: "20130524", Region: "us-east-1", Service: "s3", At: time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC), Claimed: Chunked}
		s := &casemate.Signed{Header: map[string][]string{"x-amz-decoded-content-length": {"9010"}}}
		if trailer != "" {
			g.Claimed, s.Header["x-amz-trailer"] = ChunkedTrailer, []string{trailer}
		}
		r, err := g.Chunks(s, Key(exampleSecret, g.Day, g.Region, g.Service), bytes.NewReader(body))
		if err != nil {
			return
		}
		if got, _ := io.ReadAll(r); len(got) > 9010 || strings.Trim(string(got), "a") != "" {
			t.Fatalf("%d bytes that nobody signed", len(got))
		}
	})
}
