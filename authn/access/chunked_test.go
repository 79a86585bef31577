package access

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"casemate"
	"casemate/authn/sigv4"
)

// stream signs a body in chunks: the SDK signs the request, and each chunk continues its signature.
func (d *desk) stream(parts ...string) *casemate.Event {
	d.t.Helper()
	r, err := http.NewRequest("PUT", "https://api.example/shop/upload", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	total := len(strings.Join(parts, ""))
	r.Header.Set("X-Amz-Content-Sha256", sigv4.Chunked)
	r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(total))
	if err := v4.NewSigner().SignHTTP(context.Background(), d.creds, r, sigv4.Chunked, "execute-api", "us-east-1", d.now); err != nil {
		d.t.Fatal(err)
	}
	auth := r.Header.Get("Authorization")
	last := auth[strings.Index(auth, "Signature=")+10:]
	key := sigv4.Key(d.creds.SecretAccessKey, d.now.Format("20060102"), "us-east-1", "execute-api")
	var body bytes.Buffer
	for _, part := range append(parts, "") {
		sum := sha256.Sum256([]byte(part))
		h := hmac.New(sha256.New, key[:])
		fmt.Fprintf(h, "AWS4-HMAC-SHA256-PAYLOAD\n%s\n%s/us-east-1/execute-api/aws4_request\n%s\n%s\n%x", d.now.Format("20060102T150405Z"), d.now.Format("20060102"), last, sigv4.Empty, sum)
		last = hex.EncodeToString(h.Sum(nil))
		fmt.Fprintf(&body, "%x;chunk-signature=%s\r\n%s", len(part), last, part)
		body.WriteString("\r\n")
	}
	e := event(r, body.String())
	e.ContentEncoding = "aws-chunked"
	return e
}

// TestChunkedBodies: what comes out is what was signed, and nothing comes out of a chunk that was changed.
func TestChunkedBodies(t *testing.T) {
	d := newDesk(t)
	first := strings.Repeat("a", 9000)
	e := d.stream(first, "tail")
	_, body, err := d.enter(e, route())
	if err != nil || body != first+"tail" || e.ContentEncoding != "" || e.Size != -1 {
		t.Errorf("%d bytes, encoding %q, %v", len(body), e.ContentEncoding, cause(err))
	}
	for name, change := range map[string]func(*casemate.Event){
		"a changed chunk":  func(e *casemate.Event) { e.Body = changed(e, "tail", "tall") },
		"a changed length": func(e *casemate.Event) { e.Credential.Signed.Header["x-amz-decoded-content-length"] = []string{"9000"} },
		"no length":        func(e *casemate.Event) { delete(e.Credential.Signed.Header, "x-amz-decoded-content-length") },
		"no end":           func(e *casemate.Event) { e.Body = changed(e, "0;chunk", "1;chunk") },
		"unsigned chunks": func(e *casemate.Event) {
			e.Credential.Signed.Header["x-amz-content-sha256"] = []string{"STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
		},
	} {
		d.now = d.now.Add(1e9)
		e := d.stream(first, "tail")
		change(e)
		if _, _, err := d.enter(e, route()); casemate.CodeOf(err) != casemate.Unauthenticated || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func changed(e *casemate.Event, old, new string) *strings.Reader {
	var b bytes.Buffer
	if _, err := b.ReadFrom(e.Body); err != nil {
		panic(err)
	}
	text := b.String()
	i := strings.LastIndex(text, old)
	return strings.NewReader(text[:i] + new + text[i+len(old):])
}
