package authn

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"casemate"
	"casemate/store"
)

var b64 = base64.RawURLEncoding

// signer makes tokens the way an attacker would: header and claims are any text at all.
type signer struct {
	kid string
	alg string
	key crypto.Signer
}

func newECSigner(t testing.TB, kid string) *signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{kid: kid, alg: "ES256", key: k}
}

func newRSASigner(t testing.TB, kid string, bits int) *signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{kid: kid, alg: "RS256", key: k}
}

func (s *signer) sign(t testing.TB, head, body string) string {
	t.Helper()
	text := b64.EncodeToString([]byte(head)) + "." + b64.EncodeToString([]byte(body))
	sum := sha256.Sum256([]byte(text))
	var sig []byte
	var err error
	switch k := s.key.(type) {
	case *ecdsa.PrivateKey:
		r, v, e := ecdsa.Sign(rand.Reader, k, sum[:])
		err, sig = e, make([]byte, 64)
		r.FillBytes(sig[:32])
		v.FillBytes(sig[32:])
	case *rsa.PrivateKey:
		sig, err = rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, []byte(text))
	}
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64.EncodeToString(sig)
}

func (s *signer) head() string { return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, s.alg, s.kid) }

func jwks(t testing.TB, ss ...*signer) string {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, s := range ss {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: s.key.Public(), KeyID: s.kid, Algorithm: s.alg, Use: "sig"})
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const iss = "https://id.example"

func (c *clock) claims(change map[string]any) string {
	m := map[string]any{
		"iss": iss, "sub": "alice", "aud": "orders", "exp": c.Now().Add(time.Hour).Unix(), "iat": c.Now().Unix(),
		"roles": []string{"nothing", "staff"}, "scope": "read write", "age": 42, "admin": false, "org": map[string]any{"id": "x1"},
	}
	maps.Copy(m, change)
	for k, v := range m {
		if v == nil {
			delete(m, k)
		}
	}
	b, _ := json.Marshal(m)
	return string(b)
}

func entry(t testing.TB, ss ...*signer) casemate.Issuer {
	return casemate.Issuer{App: "orders", Issuer: iss, Audience: []string{"orders", "orders-2"}, KeySet: jwks(t, ss...),
		Algorithms: []string{"ES256"}, RoleClaim: "roles", Roles: map[string]string{"staff": "clerk", "boss": "admin"}}
}

func tokenIdentity(t *testing.T, c *clock, entries ...casemate.Issuer) *Identity {
	t.Helper()
	id := identity(t, c, store.Memory(time.Now))
	if err := id.SetIssuers(entries); err != nil {
		t.Fatal(err)
	}
	return id
}

func byToken(id *Identity, token string) (*casemate.Principal, error) {
	return id.Credential(context.Background(), casemate.Credential{Kind: casemate.CredentialBearer, Secret: token})
}

func TestTokenLetsItsPrincipalIn(t *testing.T) {
	c, s := newClock(), newECSigner(t, "k1")
	id := tokenIdentity(t, c, entry(t, s))
	tok := s.sign(t, s.head(), c.claims(nil))
	for range 2 { // the second time remembered
		p, err := byToken(id, tok)
		if err != nil {
			t.Fatal(err)
		}
		if p.ID != "jwt/"+iss+"|alice" || p.Role != "clerk" || p.Kind != casemate.KindToken || p.Claims["age"] != "42" ||
			p.Claims["admin"] != "false" || p.Claims["org.id"] != "x1" || strings.Join(p.Scopes, ",") != "read,write" ||
			p.Tags["app"] != "orders" || !p.Expires.Equal(c.Now().Add(time.Hour)) {
			t.Fatalf("%+v", p)
		}
	}
	for name, ok := range map[string]string{
		"audience list":    s.sign(t, s.head(), c.claims(map[string]any{"aud": []string{"x", "orders-2"}})),
		"at+jwt":           s.sign(t, `{"alg":"ES256","kid":"k1","typ":"at+jwt"}`, c.claims(nil)),
		"no typ":           s.sign(t, `{"alg":"ES256","kid":"k1"}`, c.claims(nil)),
		"one key, no kid":  s.sign(t, `{"alg":"ES256"}`, c.claims(nil)),
		"nbf in tolerance": s.sign(t, s.head(), c.claims(map[string]any{"nbf": c.Now().Add(leeway).Unix()})),
		"role as one text": s.sign(t, s.head(), c.claims(map[string]any{"roles": "staff"})),
		"thumbprint hint":  s.sign(t, `{"alg":"ES256","kid":"k1","x5t":"abc"}`, c.claims(nil)),
	} {
		if p, err := byToken(id, ok); err != nil || p.Role != "clerk" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if p, err := byToken(id, s.sign(t, s.head(), c.claims(map[string]any{"roles": []string{"stranger"}}))); err != nil || p.Role != "" {
		t.Errorf("an unmapped value gives role %q, %v", p.Role, err)
	}
	if p, err := byToken(id, s.sign(t, s.head(), c.claims(map[string]any{"roles": []string{"boss", "staff"}}))); err != nil || p.Role != "admin" {
		t.Errorf("the first mapped value wins: %q, %v", p.Role, err)
	}
}

func TestAttacksOnTheHeader(t *testing.T) {
	c, s, evil := newClock(), newECSigner(t, "k1"), newECSigner(t, "k1")
	two := newECSigner(t, "k2")
	rs := newRSASigner(t, "rsa", 2048)
	e := entry(t, s, two, rs)
	e.Algorithms = []string{"ES256", "RS256"}
	id := tokenIdentity(t, c, e)
	claims := c.claims(nil)
	hs := func(key []byte, head string) string {
		text := b64.EncodeToString([]byte(head)) + "." + b64.EncodeToString([]byte(claims))
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return text + "." + b64.EncodeToString(m.Sum(nil))
	}
	der, err := x509.MarshalPKIXPublicKey(rs.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	unsigned := b64.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + b64.EncodeToString([]byte(claims)) + "."
	evilKey, err := json.Marshal(jose.JSONWebKey{Key: evil.key.Public(), KeyID: "k1", Algorithm: "ES256"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tok := range map[string]string{
		"alg none":                          unsigned,
		"alg none with a signature":         s.sign(t, `{"alg":"none","kid":"k1"}`, claims),
		"alg NoNe":                          s.sign(t, `{"alg":"NoNe","kid":"k1"}`, claims),
		"alg missing":                       s.sign(t, `{"kid":"k1"}`, claims),
		"alg empty":                         s.sign(t, `{"alg":"","kid":"k1"}`, claims),
		"alg a number":                      s.sign(t, `{"alg":256,"kid":"k1"}`, claims),
		"key confusion RS to HS, PEM":       hs(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), `{"alg":"HS256","kid":"rsa"}`),
		"key confusion RS to HS, DER":       hs(der, `{"alg":"HS256","kid":"rsa"}`),
		"HS with an empty key":              hs(nil, `{"alg":"HS256","kid":"k1"}`),
		"alg of another key":                s.sign(t, `{"alg":"RS256","kid":"k1"}`, claims),
		"RS key said to be ES":              rs.sign(t, `{"alg":"ES256","kid":"rsa"}`, claims),
		"PS not pinned":                     rs.sign(t, `{"alg":"PS256","kid":"rsa"}`, claims),
		"kid path traversal":                s.sign(t, `{"alg":"ES256","kid":"../../../../dev/null"}`, claims),
		"kid SQL":                           s.sign(t, `{"alg":"ES256","kid":"k1' UNION SELECT 'x"}`, claims),
		"kid empty":                         s.sign(t, `{"alg":"ES256","kid":""}`, claims),
		"kid missing with several keys":     s.sign(t, `{"alg":"ES256"}`, claims),
		"kid of another key":                s.sign(t, `{"alg":"ES256","kid":"k2"}`, claims),
		"kid huge":                          s.sign(t, `{"alg":"ES256","kid":"`+strings.Repeat("k", 5000)+`"}`, claims),
		"jku":                               evil.sign(t, `{"alg":"ES256","kid":"k1","jku":"https://evil.example/jwks"}`, claims),
		"jku with the right key":            s.sign(t, `{"alg":"ES256","kid":"k1","jku":"https://evil.example/jwks"}`, claims),
		"embedded jwk":                      evil.sign(t, `{"alg":"ES256","kid":"k1","jwk":`+string(evilKey)+`}`, claims),
		"x5u":                               s.sign(t, `{"alg":"ES256","kid":"k1","x5u":"https://evil.example/c"}`, claims),
		"x5c":                               s.sign(t, `{"alg":"ES256","kid":"k1","x5c":["AA=="]}`, claims),
		"crit":                              s.sign(t, `{"alg":"ES256","kid":"k1","crit":["exp"],"exp":1}`, claims),
		"crit empty":                        s.sign(t, `{"alg":"ES256","kid":"k1","crit":[]}`, claims),
		"b64 false":                         s.sign(t, `{"alg":"ES256","kid":"k1","b64":false}`, claims),
		"zip":                               s.sign(t, `{"alg":"ES256","kid":"k1","zip":"DEF"}`, claims),
		"nested token":                      s.sign(t, `{"alg":"ES256","kid":"k1","cty":"JWT"}`, s.sign(t, s.head(), claims)),
		"typ of another use":                s.sign(t, `{"alg":"ES256","kid":"k1","typ":"logout+jwt"}`, claims),
		"typ empty":                         s.sign(t, `{"alg":"ES256","kid":"k1","typ":""}`, claims),
		"name twice":                        s.sign(t, `{"alg":"none","alg":"ES256","kid":"k1"}`, claims),
		"name twice, escaped":               s.sign(t, `{"alg":"none","al\u0067":"ES256","kid":"k1"}`, claims),
		"header no object":                  s.sign(t, `["ES256"]`, claims),
		"header null":                       s.sign(t, `null`, claims),
		"header empty":                      s.sign(t, ``, claims),
		"header with something behind it":   s.sign(t, s.head()+`{}`, claims),
		"header not UTF-8":                  s.sign(t, "{\"alg\":\"ES256\",\"kid\":\"k1\xff\"}", claims),
		"another's key under the same kid":  evil.sign(t, evil.head(), claims),
		"JSON serialization":                `{"payload":"` + b64.EncodeToString([]byte(claims)) + `"}`,
		"encrypted token's five parts":      s.sign(t, s.head(), claims) + ".a.b",
		"API key sent as a token":           "ck_0000000000_" + strings.Repeat("0", 49),
		"empty":                             "",
		"dots":                              "..",
		"longer than any token may be":      s.sign(t, s.head(), c.claims(map[string]any{"x": strings.Repeat("y", maxToken)})),
		"spaces around":                     " " + s.sign(t, s.head(), claims) + " ",
		"line end inside":                   strings.Replace(s.sign(t, s.head(), claims), ".", ".\n", 1),
		"padding":                           s.sign(t, s.head(), claims) + "==",
		"standard alphabet in place of url": strings.NewReplacer("-", "+", "_", "/").Replace(withBoth(t, s, claims)),
	} {
		p, err := byToken(id, tok)
		mustRefuse(t, name, p, err)
	}
}

// withBoth signs until the signature has a character in which the two base64 alphabets differ.
func withBoth(t *testing.T, s *signer, claims string) string {
	for {
		if tok := s.sign(t, s.head(), claims); strings.ContainsAny(tok[strings.LastIndexByte(tok, '.'):], "-_") {
			return tok
		}
	}
}

func TestOnlyPinnedAlgorithmsAreTaken(t *testing.T) {
	c, rs := newClock(), newRSASigner(t, "rsa", 2048)
	e := entry(t, rs)
	e.KeySet = strings.Replace(e.KeySet, `"alg":"RS256"`, `"ext":true`, 1) // the set leaves the choice to the token
	e.Algorithms = []string{"PS256"}
	id := tokenIdentity(t, c, e)
	p, err := byToken(id, rs.sign(t, rs.head(), c.claims(nil)))
	mustRefuse(t, "RS256 where PS256 is pinned", p, err)
	e.Algorithms = []string{"RS256"}
	if err := id.SetIssuers([]casemate.Issuer{e}); err != nil {
		t.Fatal(err)
	}
	if _, err := byToken(id, rs.sign(t, rs.head(), c.claims(nil))); err != nil {
		t.Errorf("RS256 where it is pinned: %v", err)
	}
}

func TestAttacksOnTheClaims(t *testing.T) {
	c, s := newClock(), newECSigner(t, "k1")
	id := tokenIdentity(t, c, entry(t, s))
	now := c.Now()
	raw := func(extra string) string { // claims as text, for what a map cannot say
		return strings.TrimSuffix(c.claims(nil), "}") + "," + extra + "}"
	}
	for name, body := range map[string]string{
		"expired":                    c.claims(map[string]any{"exp": now.Add(-time.Second).Unix()}),
		"expires this second":        c.claims(map[string]any{"exp": now.Unix()}),
		"never expires":              c.claims(map[string]any{"exp": nil}),
		"exp a text":                 c.claims(map[string]any{"exp": "4102444800"}),
		"exp beyond any clock":       strings.Replace(c.claims(map[string]any{"exp": 1}), `"exp":1`, `"exp":1e400`, 1),
		"exp negative":               c.claims(map[string]any{"exp": -1}),
		"exp null":                   strings.Replace(c.claims(map[string]any{"exp": 1}), `"exp":1`, `"exp":null`, 1),
		"nbf in the future":          c.claims(map[string]any{"nbf": now.Add(leeway + time.Second).Unix()}),
		"iat in the future":          c.claims(map[string]any{"iat": now.Add(leeway + time.Second).Unix()}),
		"wrong audience":             c.claims(map[string]any{"aud": "billing"}),
		"audience missing":           c.claims(map[string]any{"aud": nil}),
		"audience only a prefix":     c.claims(map[string]any{"aud": "order"}),
		"audience list with numbers": c.claims(map[string]any{"aud": []any{"orders", 1}}),
		"audience an object":         c.claims(map[string]any{"aud": map[string]any{"orders": true}}),
		"wrong issuer":               c.claims(map[string]any{"iss": "https://id.example.evil"}),
		"issuer with a slash":        c.claims(map[string]any{"iss": iss + "/"}),
		"issuer in capitals":         c.claims(map[string]any{"iss": strings.ToUpper(iss)}),
		"issuer missing":             c.claims(map[string]any{"iss": nil}),
		"issuer a list":              c.claims(map[string]any{"iss": []string{iss}}),
		"subject missing":            c.claims(map[string]any{"sub": nil}),
		"subject empty":              c.claims(map[string]any{"sub": ""}),
		"subject a number":           c.claims(map[string]any{"sub": 1}),
		"subject with a line end":    c.claims(map[string]any{"sub": "alice\nroot"}),
		"subject huge":               c.claims(map[string]any{"sub": strings.Repeat("a", 300)}),
		"claim twice":                raw(`"sub":"root"`),
		"claim twice, escaped":       raw(`"s\u0075b":"root"`),
		"claim ambiguous when flat":  raw(`"org.id":"x2"`),
		"nested too deeply":          raw(`"x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000)),
		"something behind":           c.claims(nil) + "{}",
		"no object":                  `"` + iss + `"`,
		"empty":                      "",
	} {
		p, err := byToken(id, s.sign(t, s.head(), body))
		mustRefuse(t, name, p, err)
	}
}

func TestTamperedSignatureBits(t *testing.T) {
	c := newClock()
	for _, s := range []*signer{newECSigner(t, "k1"), newRSASigner(t, "k1", 2048)} {
		e := entry(t, s)
		e.Algorithms = []string{s.alg}
		id := tokenIdentity(t, c, e)
		tok := s.sign(t, s.head(), c.claims(nil))
		at := strings.LastIndexByte(tok, '.') + 1
		sig, err := b64.DecodeString(tok[at:])
		if err != nil {
			t.Fatal(err)
		}
		for bit := range len(sig) * 8 {
			if s.alg == "RS256" && bit%7 != 0 {
				continue
			}
			bad := append([]byte{}, sig...)
			bad[bit/8] ^= 1 << (bit % 8)
			p, err := byToken(id, tok[:at]+b64.EncodeToString(bad))
			mustRefuse(t, fmt.Sprintf("%s bit %d", s.alg, bit), p, err)
		}
		for _, cut := range []int{0, 1, len(sig) / 2, len(sig) - 1} {
			p, err := byToken(id, tok[:at]+b64.EncodeToString(sig[:cut]))
			mustRefuse(t, fmt.Sprintf("%s cut to %d", s.alg, cut), p, err)
		}
		zero := tok[:at] + b64.EncodeToString(make([]byte, len(sig))) // CVE-2022-21449, "psychic signatures"
		p, err := byToken(id, zero)
		mustRefuse(t, s.alg+" all zero", p, err)
		if _, err := byToken(id, tok); err != nil {
			t.Errorf("the untouched one: %v", err)
		}
		// The last character of the signature has unused bits: another spelling of the same bytes is refused.
		last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", tok[len(tok)-1])
		other := tok[:len(tok)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last^1])
		p, err = byToken(id, other)
		mustRefuse(t, s.alg+" spelled otherwise", p, err)
	}
}

func TestRememberedTokenIsForgottenInTime(t *testing.T) {
	c, s, next := newClock(), newECSigner(t, "k1"), newECSigner(t, "k2")
	id := tokenIdentity(t, c, entry(t, s))
	tok := s.sign(t, s.head(), c.claims(nil))
	if _, err := byToken(id, tok); err != nil {
		t.Fatal(err)
	}
	if err := id.SetIssuers([]casemate.Issuer{entry(t, next)}); err != nil {
		t.Fatal(err)
	}
	p, err := byToken(id, tok)
	mustRefuse(t, "its key was taken away", p, err)
	if err := id.SetIssuers([]casemate.Issuer{entry(t, s)}); err != nil {
		t.Fatal(err)
	}
	if _, err := byToken(id, tok); err != nil {
		t.Fatal(err)
	}
	c.Add(time.Hour)
	p, err = byToken(id, tok)
	mustRefuse(t, "it expired", p, err)
	if err := id.SetIssuers(nil); err != nil {
		t.Fatal(err)
	}
	p, err = byToken(id, s.sign(t, s.head(), c.claims(nil)))
	mustRefuse(t, "no issuer is left", p, err)
}

func TestTokenCacheIsBounded(t *testing.T) {
	c := newTokenCache()
	by, src := &map[string][]*issuer{}, &source{}
	now := time.Now()
	put := func(i int) [32]byte {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
		c.put(&verified{sum: sum, by: by, source: src, principal: casemate.Principal{Expires: now.Add(time.Hour)}})
		return sum
	}
	first, second := put(0), put(1)
	for i := 2; i < maxTokens; i++ {
		put(i)
	}
	if c.get(first, now, by) == nil {
		t.Fatal("forgotten before it was full")
	}
	if c.get(first, now, &map[string][]*issuer{}) != nil {
		t.Fatal("taken although checked against other issuers")
	}
	first = put(0)
	put(maxTokens)
	if len(c.by) != maxTokens || c.order.Len() != maxTokens || c.get(first, now, by) == nil || c.get(second, now, by) != nil {
		t.Fatalf("%d kept; the least recently used must go", len(c.by))
	}
}

func FuzzToken(f *testing.F) {
	s := newECSigner(f, "k1")
	c := newClock()
	set, err := parseKeySet([]byte(jwks(f, s)))
	if err != nil {
		f.Fatal(err)
	}
	tr := newTrust(Config{Clock: c.Now, Place: casemate.DefaultPlace})
	if err := tr.set([]casemate.Issuer{entry(f, s)}); err != nil {
		f.Fatal(err)
	}
	good := s.sign(f, s.head(), c.claims(nil))
	f.Add(good)
	f.Add("e30.e30.")
	f.Add(b64.EncodeToString([]byte(`{"alg":"none"}`)) + "." + b64.EncodeToString([]byte(c.claims(nil))) + ".")
	f.Fuzz(func(t *testing.T, raw string) {
		if p, err := tr.verify(t.Context(), raw, c.Now(), nil); err == nil && raw != good {
			t.Fatalf("%q is %+v", raw, p)
		}
		if tok, err := parseToken(raw); err == nil {
			if k, err := set.find(tok.header); err == nil && k == nil {
				t.Fatal("found no key without an error")
			}
		}
	})
}

func FuzzKeySet(f *testing.F) {
	f.Add([]byte(jwks(f, newECSigner(f, "a"), newECSigner(f, "b"))))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		set, err := parseKeySet(doc)
		if err != nil {
			return
		}
		for _, k := range set.all {
			switch k.key.(type) {
			case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
			default:
				t.Fatalf("%q gives a key of type %T", doc, k.key)
			}
		}
	})
}

func BenchmarkToken(b *testing.B) {
	s, c := newECSigner(b, "k1"), newClock()
	id, err := New(b.Context(), Config{Store: store.Memory(time.Now), Clock: c.Now})
	if err != nil {
		b.Fatal(err)
	}
	if err := id.SetIssuers([]casemate.Issuer{entry(b, s)}); err != nil {
		b.Fatal(err)
	}
	tok := s.sign(b, s.head(), c.claims(nil))
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := byToken(id, tok); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			id.trust.cache.clear()
			if _, err := byToken(id, tok); err != nil {
				b.Fatal(err)
			}
		}
	})
	if err := id.Close(); err != nil {
		b.Fatal(err)
	}
}
