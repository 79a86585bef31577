package deployment

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"time"
)

var b64 = base64.RawURLEncoding

// token makes the token of a step. RFC 7515, 7519.
func (j *JWT) token(t *Target, fill func(string) (string, error), now time.Time) (string, error) {
	iss := t.Issuers[j.Issuer]
	head := map[string]any{"alg": iss.Alg, "typ": "JWT", "kid": iss.KID}
	claims := map[string]any{"iat": now.Add(-time.Second).Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(claims, iss.Claims)
	for to, from := range map[*map[string]any]map[string]any{&head: j.Header, &claims: j.Claims} {
		for name, v := range from {
			if v == nil {
				delete(*to, name)
				continue
			}
			if text, ok := v.(string); ok {
				if d, err := time.ParseDuration(text); err == nil && (name == "exp" || name == "nbf" || name == "iat") {
					v = now.Add(d).Unix()
				} else if v, err = fill(text); err != nil {
					return "", err
				}
			}
			(*to)[name] = v
		}
	}
	parts := [2]string{}
	for i, p := range []struct {
		name string
		v    any
	}{{"header", head}, {"claims", claims}} {
		text, err := json.Marshal(p.v)
		if err != nil {
			return "", err
		}
		if raw := j.Texts[p.name]; raw != "" {
			filled, err := fill(raw)
			if err != nil {
				return "", err
			}
			text = []byte(filled)
		}
		parts[i] = b64.EncodeToString(text)
	}
	signed := parts[0] + "." + parts[1]
	sig, err := j.signature(iss, signed)
	if err != nil {
		return "", err
	}
	out := signed + "." + b64.EncodeToString(sig)
	if !j.Outer {
		return out, nil
	}
	outer := b64.EncodeToString(fmt.Appendf(nil, `{"alg":%q,"kid":%q,"cty":"JWT"}`, iss.Alg, iss.KID)) + "." + b64.EncodeToString([]byte(out))
	sig, err = sign(iss.Key, iss.Alg, outer)
	return outer + "." + b64.EncodeToString(sig), err
}

func (j *JWT) signature(iss *Issuer, text string) ([]byte, error) {
	switch j.With {
	case "", "own":
		return sign(iss.Key, iss.Alg, text)
	case "none":
		return nil, nil
	case "zero":
		return make([]byte, 64), nil
	case "public":
		mac := hmac.New(sha256.New, iss.Public)
		mac.Write([]byte(text))
		return mac.Sum(nil), nil
	case "stranger":
		return iss.stranger(text)
	}
	return nil, fmt.Errorf("jwt: with %q", j.With)
}

// stranger signs with a key of the issuer's kind that is nobody's.
func (i *Issuer) stranger(text string) ([]byte, error) {
	i.once.Do(func() {
		switch k := i.Key.(type) {
		case *rsa.PrivateKey:
			i.other, i.err = rsa.GenerateKey(rand.Reader, 2048)
		case *ecdsa.PrivateKey:
			i.other, i.err = ecdsa.GenerateKey(k.Curve, rand.Reader)
		default:
			_, i.other, i.err = ed25519.GenerateKey(rand.Reader)
		}
	})
	if i.err != nil {
		return nil, i.err
	}
	return sign(i.other, i.Alg, text)
}

func sign(key crypto.Signer, alg, text string) ([]byte, error) {
	sum := sha256.Sum256([]byte(text))
	switch k := key.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(k, []byte(text)), nil
	case *rsa.PrivateKey:
		return rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
		if err != nil {
			return nil, err
		}
		out := make([]byte, 64)
		for i, n := range []*big.Int{r, s} {
			n.FillBytes(out[i*32 : i*32+32])
		}
		return out, nil
	}
	return nil, errors.New("no key for " + alg)
}
