package extension

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

const signedHeaders = "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-target"

// signed makes a request of the JSON protocol with a SigV4 signature of the sandbox's own key
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html): the endpoint gets in by the
// same door as any SDK of this sandbox, and not beside it.
func (e *Endpoint) signed(ctx context.Context, q *question, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+e.cfg.Host+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.RequestURI = "/"
	now := e.cfg.Clock().UTC()
	day, stamp, sum := now.Format("20060102"), now.Format("20060102T150405Z"), sha256.Sum256(body)
	payload := hex.EncodeToString(sum[:])
	for name, value := range map[string]string{"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": q.target, "X-Amz-Date": stamp,
		"X-Amz-Security-Token": e.cfg.Key.Token, "X-Amz-Content-Sha256": payload, "User-Agent": "parameters-and-secrets"} {
		r.Header.Set(name, value)
	}
	var headers strings.Builder
	for name := range strings.SplitSeq(signedHeaders, ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = e.cfg.Host
		}
		headers.WriteString(name + ":" + value + "\n")
	}
	canonical := sha256.Sum256([]byte("POST\n/\n\n" + headers.String() + "\n" + signedHeaders + "\n" + payload))
	scope := day + "/" + e.cfg.Region + "/" + q.scope + "/aws4_request"
	key := []byte("AWS4" + e.cfg.Key.Secret)
	for _, part := range []string{day, e.cfg.Region, q.scope, "aws4_request"} {
		key = mac(key, part)
	}
	signature := hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hex.EncodeToString(canonical[:])))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+e.cfg.Key.ID+"/"+scope+", SignedHeaders="+signedHeaders+", Signature="+signature)
	return r, nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
