package deployment

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

func ago(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now, nil
	}
	d, err := time.ParseDuration(text)
	return now.Add(-d), err
}

// sign signs r, whose body is body, as AWS's own signer for Go does.
func (s *SigV4) sign(ctx context.Context, t *Target, r *http.Request, body string, now time.Time) error {
	at, err := ago(s.Ago, now)
	if err != nil {
		return err
	}
	key := t.Access[s.Key]
	service, region := s.Service, s.Region
	if service == "" {
		service = "execute-api"
	}
	if region == "" {
		region = t.Region
	}
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	if s.Payload != "" {
		hash = s.Payload
		r.Header.Set("X-Amz-Content-Sha256", hash)
	}
	left := http.Header{}
	for _, name := range s.Leave {
		left[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		r.Header.Del(name)
	}
	creds, signer := aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret, SessionToken: key.Session}, v4.NewSigner()
	if s.Presign == 0 {
		err = signer.SignHTTP(ctx, creds, r, hash, service, region, at)
	} else {
		q := r.URL.Query()
		q.Set("X-Amz-Expires", fmt.Sprint(s.Presign))
		r.URL.RawQuery = q.Encode()
		var signed string
		if signed, _, err = signer.PresignHTTP(ctx, creds, r, hash, service, region, at); err == nil {
			r.URL, err = url.Parse(signed)
		}
	}
	for name, values := range left {
		r.Header[name] = values
	}
	return err
}

// headers are what a sender of a scheme sends with a body.
func (w *Webhook) headers(t *Target, body string, now time.Time) (http.Header, error) {
	at, err := ago(w.Ago, now)
	if err != nil {
		return nil, err
	}
	s := t.Senders[w.Sender]
	if w.Scheme != "" {
		s.Scheme = w.Scheme
	}
	if w.Secret != "" {
		s.Secret = w.Secret
	}
	id := w.ID
	if id == "" {
		id = "msg_" + fmt.Sprint(now.UnixNano())
	}
	when := fmt.Sprint(at.Unix())
	mac := func(key, text string) []byte {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	h := http.Header{}
	switch s.Scheme {
	case "standard-webhooks":
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s.Secret, "whsec_"))
		if err != nil {
			return nil, err
		}
		h.Set("webhook-id", id)
		h.Set("webhook-timestamp", when)
		h.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac(string(key), id+"."+when+"."+body)))
	case "github":
		h.Set("x-github-delivery", id)
		h.Set("x-hub-signature-256", "sha256="+hex.EncodeToString(mac(s.Secret, body)))
	case "stripe":
		h.Set("stripe-signature", "t="+when+",v1="+hex.EncodeToString(mac(s.Secret, when+"."+body)))
	case "slack":
		h.Set("x-slack-request-timestamp", when)
		h.Set("x-slack-signature", "v0="+hex.EncodeToString(mac(s.Secret, "v0:"+when+":"+body)))
	case "hmac":
		h.Set("x-timestamp", when)
		h.Set("x-signature", "sha256="+base64.StdEncoding.EncodeToString(mac(s.Secret, when+"."+body)))
	default:
		return nil, fmt.Errorf("no webhook scheme %q", s.Scheme)
	}
	return h, nil
}
