package authn

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"

	"casemate"
	"casemate/authn/sigv4"
)

// What the tests speak of.
const (
	emptyHash     = sigv4.Empty
	headerDate    = "x-amz-date"
	headerToken   = "x-amz-security-token"
	headerPayload = "x-amz-content-sha256"
)

var exampleTime = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)

// box is one sandbox's identity, and a signer of the AWS SDK with its key.
type box struct {
	id  *Identity
	key casemate.SandboxKey
	now time.Time
}

func newBox(t rapid.TB, life time.Duration) *box {
	b := &box{now: exampleTime}
	b.id = &Identity{cfg: Config{Clock: func() time.Time { return b.now }, Place: casemate.DefaultPlace},
		sandboxes: &sandboxes{place: casemate.DefaultPlace, keys: map[string]*casemate.SandboxKey{}, owner: map[string]string{}}}
	b.key = b.id.MintSandbox(&casemate.Version{Function: "price", Role: "function/price", Account: "000000000000"}, life)
	return b
}

// sign has the SDK sign a request and gives it as a server hears it.
func (b *box) sign(t rapid.TB, method, target, service string, header map[string]string, body []byte) *casemate.Signed {
	t.Helper()
	r, err := http.NewRequest(method, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	sign := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	claimed := hash
	if h := header["X-Amz-Content-Sha256"]; h != "" {
		claimed = h
	}
	err = sign.SignHTTP(context.Background(), aws.Credentials{AccessKeyID: b.key.ID, SecretAccessKey: b.key.Secret, SessionToken: b.key.Token},
		r, claimed, service, "us-east-1", b.now)
	if err != nil {
		t.Fatal(err)
	}
	s := &casemate.Signed{Sandbox: b.key.Sandbox, Method: method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Payload: hash, Header: map[string][]string{"host": {r.URL.Host}}}
	for k, v := range r.Header {
		s.Header[strings.ToLower(k)] = v
	}
	if len(body) > 0 {
		s.Header["content-length"] = []string{fmt.Sprint(len(body))}
	}
	return s
}

func (b *box) verify(t rapid.TB, s *casemate.Signed) (*casemate.Principal, error) {
	return b.id.Credential(context.Background(), casemate.Credential{Kind: casemate.CredentialSigned, Signed: s})
}

func TestSandboxSignatureGivesTheFunction(t *testing.T) {
	b := newBox(t, time.Hour)
	s := b.sign(t, "POST", "http://169.254.100.3/", "secretsmanager", map[string]string{"X-Amz-Target": "secretsmanager.GetSecretValue",
		"Content-Type": "application/x-amz-json-1.1"}, []byte(`{"SecretId":"a"}`))
	p, err := b.verify(t, s)
	if err != nil {
		t.Fatal(err)
	}
	if p.Kind != casemate.KindRun || p.ID != "function/price" || p.Role != "function/price" || p.Account != "000000000000" ||
		p.ARN != "arn:aws:sts::000000000000:assumed-role/function/price/price" || !p.Expires.Equal(b.now.Add(time.Hour)) || p.ARN != b.key.Principal.ARN {
		t.Errorf("%+v", p)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", b.key, b.key, b.key)} {
		if strings.Contains(text, b.key.Secret) || strings.Contains(text, b.key.Token) {
			t.Error("the key prints its secrets")
		}
	}
}

// TestSandboxSignatureAttacks changes one thing at a time about a request that holds.
//
// Lambda checklist: 93
func TestSandboxSignatureAttacks(t *testing.T) {
	authorization := func(old, new string) func(*box, *casemate.Signed) {
		return func(_ *box, s *casemate.Signed) {
			was := s.Header["authorization"][0]
			if s.Header["authorization"][0] = strings.Replace(was, old, new, 1); s.Header["authorization"][0] == was {
				panic("the attack changes nothing")
			}
		}
	}
	attacks := map[string]func(*box, *casemate.Signed){
		"from another sandbox": func(b *box, s *casemate.Signed) {
			s.Sandbox = b.id.MintSandbox(&casemate.Version{Function: "other"}, time.Hour).Sandbox
		},
		"from outside":           func(_ *box, s *casemate.Signed) { s.Sandbox = "" },
		"after the end":          func(b *box, s *casemate.Signed) { b.id.EndSandbox(s.Sandbox) },
		"after it expired":       func(b *box, s *casemate.Signed) { b.now = b.key.Expires },
		"replayed late":          func(b *box, s *casemate.Signed) { b.now = b.now.Add(sigSkew + time.Second) },
		"from the future":        func(b *box, s *casemate.Signed) { b.now = b.now.Add(-sigSkew - time.Second) },
		"another method":         func(_ *box, s *casemate.Signed) { s.Method = "PUT" },
		"another path":           func(_ *box, s *casemate.Signed) { s.Path += "x" },
		"another query":          func(_ *box, s *casemate.Signed) { s.Query = strings.Replace(s.Query, "a=1", "a=2", 1) },
		"one more parameter":     func(_ *box, s *casemate.Signed) { s.Query += "&c=3" },
		"a plus in the query":    func(_ *box, s *casemate.Signed) { s.Query = strings.Replace(s.Query, "%20", "+", 1) },
		"another body":           func(_ *box, s *casemate.Signed) { s.Payload = emptyHash },
		"a body nobody hashed":   func(_ *box, s *casemate.Signed) { s.Payload = "" },
		"another host":           func(_ *box, s *casemate.Signed) { s.Header["host"] = []string{"evil.example"} },
		"two hosts":              func(_ *box, s *casemate.Signed) { s.Header["host"] = []string{"169.254.100.3", "169.254.100.3"} },
		"another target":         func(_ *box, s *casemate.Signed) { s.Header["x-amz-target"] = []string{"secretsmanager.DeleteSecret"} },
		"a second target":        func(_ *box, s *casemate.Signed) { s.Header["x-amz-target"] = append(s.Header["x-amz-target"], "a.B") },
		"another content type":   func(_ *box, s *casemate.Signed) { s.Header["content-type"] = []string{"text/plain"} },
		"an unsigned steering":   func(_ *box, s *casemate.Signed) { s.Header["x-amz-invocation-type"] = []string{"Event"} },
		"a signed header gone":   func(_ *box, s *casemate.Signed) { delete(s.Header, "x-amz-meta-note") },
		"no date":                func(_ *box, s *casemate.Signed) { delete(s.Header, headerDate) },
		"another date":           func(_ *box, s *casemate.Signed) { s.Header[headerDate] = []string{"20150830T123601Z"} },
		"a date in another form": func(_ *box, s *casemate.Signed) { s.Header[headerDate] = []string{"2015-08-30T12:36:00Z"} },
		"a claimed hash":         func(_ *box, s *casemate.Signed) { s.Header[headerPayload] = []string{s.Payload} },
		"no token":               func(_ *box, s *casemate.Signed) { delete(s.Header, headerToken) },
		"another's token":        func(b *box, s *casemate.Signed) { s.Header[headerToken] = []string{random(96)} },
		"no authorization":       func(_ *box, s *casemate.Signed) { delete(s.Header, "authorization") },
		"two authorizations": func(_ *box, s *casemate.Signed) {
			s.Header["authorization"] = append(s.Header["authorization"], "AWS4-HMAC-SHA256 x")
		},
		"no algorithm":            authorization("AWS4-HMAC-SHA256", "none"),
		"algorithm in lower case": authorization("AWS4-HMAC-SHA256", "aws4-hmac-sha256"),
		"SigV4A":                  authorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
		"another region":          authorization("/us-east-1/", "/eu-west-1/"),
		"another service":         authorization("/secretsmanager/", "/ssm/"),
		"another day":             authorization("/20150830/", "/20150829/"),
		"another end":             authorization("/aws4_request", "/aws4_requests"),
		"a longer scope":          authorization("/aws4_request", "/x/aws4_request"),
		"an invented key":         authorization("ASIA", "ASIB"),
		"host not signed":         authorization("host;", ""),
		"date not signed":         authorization("x-amz-date;", ""),
		"token not signed":        authorization(";x-amz-security-token", ""),
		"names out of order":      authorization("content-type;host", "host;content-type"),
		"names in upper case":     authorization("host;", "Host;"),
		"a name twice":            authorization("host;", "host;host;"),
		"a name never sent":       authorization("host;", "host;never;"),
		"no signature":            authorization("Signature=", "Sig="),
		"a second signature":      authorization("Signature=", "Signature=00, Signature="),
		"signature cut":           func(_ *box, s *casemate.Signed) { a := s.Header["authorization"]; a[0] = a[0][:len(a[0])-1] },
		"signature in capitals": func(_ *box, s *casemate.Signed) {
			a := s.Header["authorization"]
			i := strings.Index(a[0], "Signature=")
			a[0] = a[0][:i+10] + strings.ToUpper(a[0][i+10:])
		},
		"a signature of zeros": func(_ *box, s *casemate.Signed) {
			a := s.Header["authorization"]
			i := strings.Index(a[0], "Signature=")
			a[0] = a[0][:i+10] + strings.Repeat("0", 64)
		},
		"in the query, too": func(_ *box, s *casemate.Signed) { s.Query += "&X-Amz-Signature=00" },
		"no request":        func(_ *box, s *casemate.Signed) { *s = casemate.Signed{Sandbox: s.Sandbox} },
	}
	for name, attack := range attacks {
		b := newBox(t, time.Hour)
		s := b.sign(t, "POST", "http://169.254.100.3/p/a%20b?a=1&b=%20x", "secretsmanager", map[string]string{"X-Amz-Target": "secretsmanager.GetSecretValue",
			"Content-Type": "application/x-amz-json-1.1", "X-Amz-Meta-Note": "n"}, []byte(`{"SecretId":"a"}`))
		if _, err := b.verify(t, s); err != nil {
			t.Fatalf("before the attack: %v", casemate.AsError(err).Err)
		}
		attack(b, s)
		if p, err := b.verify(t, s); err == nil || casemate.CodeOf(err) != casemate.Unauthenticated || p != nil {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// TestTheTokenIsNeeded: a good signature by who has the key and the secret but not the token, or another's.
func TestTheTokenIsNeeded(t *testing.T) {
	for _, token := range []string{"", random(96)} {
		b := newBox(t, time.Hour)
		real := b.key.Token
		b.key.Token = token
		if p, err := b.verify(t, b.sign(t, "GET", "http://169.254.100.3/", "sts", nil, nil)); err == nil || p != nil {
			t.Errorf("token %q: %+v", token, p)
		}
		b.key.Token = real
		if _, err := b.verify(t, b.sign(t, "GET", "http://169.254.100.3/", "sts", nil, nil)); err != nil {
			t.Error(err)
		}
	}
}

// TestGoodSignaturesThatDoNotCount: each is right in itself, by who has the key.
func TestGoodSignaturesThatDoNotCount(t *testing.T) {
	for name, attack := range map[string]func(*box, *casemate.Signed){
		"expired":              func(b *box, s *casemate.Signed) { *s = *b.sign(t, "GET", "http://169.254.100.3/", "sts", nil, nil) },
		"scope of another day": func(b *box, s *casemate.Signed) { b.resign(t, s, "/20150830/", "/20150829/") },
		"scope with an end":    func(b *box, s *casemate.Signed) { b.resign(t, s, "/sts/", "/sts/x/") },
		"a header twice": func(b *box, s *casemate.Signed) {
			*s = *b.sign(t, "GET", "http://169.254.100.3/", "sts", map[string]string{"X-Amz-Target": "a.B"}, nil)
			s.Header["x-amz-target"] = append(s.Header["x-amz-target"], "a.C")
			b.resign(t, s, "host", "host")
		},
		"another body than was signed": func(b *box, s *casemate.Signed) {
			*s = *b.sign(t, "POST", "http://169.254.100.3/", "sts", map[string]string{"X-Amz-Content-Sha256": s.Payload}, nil)
			s.Payload = strings.Repeat("0", 64)
		},
		"content type twice": func(b *box, s *casemate.Signed) { s.Header["content-type"] = []string{"x", "y"} },
	} {
		b := newBox(t, time.Hour)
		s := b.sign(t, "GET", "http://169.254.100.3/", "sts", nil, nil)
		if name == "expired" {
			b.now = b.key.Expires
		}
		attack(b, s)
		if p, err := b.verify(t, s); err == nil || p != nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
	b := newBox(t, time.Hour)
	s := b.sign(t, "GET", "http://169.254.100.3/", "sts", nil, nil)
	b.resign(t, s, "host", "host")
	if _, err := b.verify(t, s); err != nil { // or the test tests nothing
		t.Errorf("signed again without a change: %v", casemate.AsError(err).Err)
	}
	s.Header["content-type"] = []string{"application/x-amz-json-1.0"} // as version 2 of the SDK for JavaScript sends it
	if p, err := b.verify(t, s); err != nil || !p.Known() {
		t.Errorf("a content type beside the signature: %v", casemate.AsError(err).Err)
	}
}

// sign gives a request the signature that it should have; one that is refused for its form stays as it is.
func sign(s *casemate.Signed, secret string) {
	g, err := sigv4.Read(s)
	if err != nil {
		return
	}
	if mac, err := g.Sum(s, sigv4.Key(secret, g.Day, g.Region, g.Service), s.Payload); err == nil {
		a := s.Header["authorization"]
		i := strings.Index(a[0], "Signature=")
		a[0] = a[0][:i+10] + hex.EncodeToString(mac)
	}
}

// resign changes the authorization and gives it the signature that it then should have.
func (b *box) resign(t *testing.T, s *casemate.Signed, old, new string) {
	t.Helper()
	a := s.Header["authorization"]
	a[0] = strings.Replace(a[0], old, new, 1)
	sign(s, b.key.Secret)
}

// TestTheOperatorLearnsWhoseKeyItWas, and the caller does not.
func TestTheOperatorLearnsWhoseKeyItWas(t *testing.T) {
	b := newBox(t, time.Hour)
	other := b.id.MintSandbox(&casemate.Version{Function: "other"}, time.Hour)
	s := b.sign(t, "GET", "http://169.254.100.3/", "sts", nil, nil)
	s.Sandbox = other.Sandbox
	_, err := b.verify(t, s)
	if e := casemate.AsError(err); err == nil || !strings.Contains(e.Err.Error(), "another sandbox's: "+b.key.ID) || strings.Contains(e.Error(), b.key.ID) {
		t.Errorf("%v", err)
	}
	b.id.EndSandbox(b.key.Sandbox)
	b.id.EndSandbox(b.key.Sandbox)
	b.id.EndSandbox("never")
	if _, err = b.verify(t, s); err == nil || !strings.Contains(casemate.AsError(err).Err.Error(), "no sandbox has the key") {
		t.Errorf("after its end: %v", casemate.AsError(err).Err)
	}
	b.id.EndSandbox(other.Sandbox)
	if n := len(b.id.sandboxes.keys) + len(b.id.sandboxes.owner); n != 0 {
		t.Errorf("%d left of ended sandboxes", n)
	}
}

func TestSignedCredentialHoldsNothingElse(t *testing.T) {
	b := newBox(t, time.Hour)
	s := b.sign(t, "GET", "http://169.254.100.3/", "sts", nil, nil)
	for _, c := range []casemate.Credential{
		{Kind: casemate.CredentialSigned}, {Kind: casemate.CredentialSigned, Secret: "x", Signed: s},
		{Kind: casemate.CredentialSigned, As: &casemate.Principal{}, Signed: s},
	} {
		if p, err := b.id.Credential(t.Context(), c); err == nil || p != nil {
			t.Errorf("%v: %+v", c, p)
		}
	}
}

// TestUnreadBodies: S3's ways to leave the body out of the signature hold only where nobody looks at the body.
func TestUnreadBodies(t *testing.T) {
	for _, claimed := range []string{"UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"} {
		b := newBox(t, time.Hour)
		s := b.sign(t, "PUT", "http://169.254.100.3/bucket/a%20b//c/../d", "s3", map[string]string{"X-Amz-Content-Sha256": claimed}, []byte("x"))
		if _, err := b.verify(t, s); err == nil || !strings.Contains(err.Error(), "bod") {
			t.Errorf("%s with a body: %v", claimed, err)
		}
		if s.Payload = ""; true {
			if _, err := b.verify(t, s); err != nil {
				t.Errorf("%s without a body: %v", claimed, casemate.AsError(err).Err)
			}
		}
	}
}

func TestRegions(t *testing.T) {
	for _, c := range []struct {
		place, signed, service string
		ok                     bool
	}{
		{"us-east-1", "us-east-1", "ssm", true}, {"eu-central-1", "eu-central-1", "ssm", true}, {"eu-central-1", "us-east-1", "iam", true},
		{"eu-central-1", "us-east-1", "ssm", false}, {"eu-central-1", "eu-west-1", "iam", false}, {"us-east-1", "", "ssm", false},
	} {
		b := newBox(t, time.Hour)
		s := b.sign(t, "GET", "http://169.254.100.3/", c.service, nil, nil)
		s.Header["authorization"][0] = strings.Replace(s.Header["authorization"][0], "us-east-1", c.signed, 1)
		b.id.sandboxes.place.Region = c.place
		sign(s, b.key.Secret)
		if _, err := b.verify(t, s); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestSignerOfTheSDKAgrees draws requests; what AWS's own signer signs must hold, and not with another path.
func TestSignerOfTheSDKAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBox(t, time.Hour)
		service := rapid.SampledFrom([]string{"ssm", "s3", "lambda"}).Draw(t, "service")
		segment := rapid.StringMatching(`[a-zA-Z0-9~!$&'()*,;=:@ä%_-]{1,8}`)
		if service == "s3" { // its clients encode everything else before they sign
			segment = rapid.StringMatching(`[a-zA-Z0-9~._-]{1,8}`)
		}
		u := url.URL{Scheme: "http", Host: "169.254.100.3", Path: "/" + strings.Join(rapid.SliceOfN(segment, 0, 4).Draw(t, "path"), "/")}
		q := url.Values{}
		for range rapid.IntRange(0, 4).Draw(t, "parameters") {
			q.Add(rapid.StringMatching(`[a-zA-Z0-9 ä&=%/-]{1,6}`).Draw(t, "name"), rapid.StringMatching(`[a-zA-Z0-9 ä&=%/~*-]{0,6}`).Draw(t, "value"))
		}
		u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
		header := map[string]string{"X-Amz-Note": rapid.StringMatching(`[a-z]( {0,3}[a-z"=]){0,5}`).Draw(t, "note")}
		s := b.sign(t, rapid.SampledFrom([]string{"GET", "POST"}).Draw(t, "method"), u.String(), service, header, rapid.SliceOf(rapid.Byte()).Draw(t, "body"))
		if _, err := b.verify(t, s); err != nil {
			t.Fatalf("%s: %v", u.String(), casemate.AsError(err).Err)
		}
		s.Path += "x"
		if _, err := b.verify(t, s); err == nil {
			t.Fatal("another path holds")
		}
	})
}

func BenchmarkVerifySignature(b *testing.B) {
	x := newBox(b, time.Hour)
	s := x.sign(b, "POST", "http://169.254.100.3/", "secretsmanager", map[string]string{"X-Amz-Target": "secretsmanager.GetSecretValue",
		"Content-Type": "application/x-amz-json-1.1"}, []byte(`{"SecretId":"a"}`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.verify(b, s); err != nil {
			b.Fatal(err)
		}
	}
}
