package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// issuer signs tokens as a login service does.
type issuer struct {
	key ed25519.PrivateKey
	kid string
}

func encoded(v any) (string, error) {
	text, err := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(text), err
}

// jwt makes a key set ("jwt keys FILE") or a token of the last one made ("jwt token FILE [alg=none] [kid=x] [exp=-1h]
// [name=value]..."). RFC 7515, 7517, 7519, 8037.
func jwt(ts *testscript.TestScript, neg bool, args []string) {
	w := of(ts)
	if neg || len(args) < 2 {
		ts.Fatalf("usage: jwt keys FILE, jwt token FILE [NAME=VALUE]...")
	}
	if args[0] == "keys" {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		ts.Check(err)
		w.issuer = &issuer{private, "k" + base64.RawURLEncoding.EncodeToString(public[:4])}
		set, err := json.Marshal(map[string]any{"keys": []any{map[string]string{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
			"kid": w.issuer.kid, "x": base64.RawURLEncoding.EncodeToString(public)}}})
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), set, 0o644))
		return
	}
	head := map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": w.issuer.kid}
	now := time.Now()
	claims := map[string]any{"iss": "https://login.example.com/", "aud": "shop", "sub": "ada", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	for _, a := range args[2:] {
		name, value, _ := strings.Cut(a, "=")
		switch name {
		case "alg", "kid", "typ":
			head[name] = value
		case "exp", "nbf":
			d, err := time.ParseDuration(value)
			ts.Check(err)
			claims[name] = now.Add(d).Unix()
		default:
			claims[name] = value
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(w.issuer.sign(ts, head, claims)), 0o600))
}

func (i *issuer) sign(ts *testscript.TestScript, head, claims map[string]any) string {
	h, err := encoded(head)
	ts.Check(err)
	c, err := encoded(claims)
	ts.Check(err)
	if head["alg"] == "none" {
		return h + "." + c + "."
	}
	return h + "." + c + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(i.key, []byte(h+"."+c)))
}
