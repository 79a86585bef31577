package authn

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeySet  = 256 << 10
	maxKeys    = 100
	maxKid     = 256
	minRSABits = 2048 // NIST SP 800-131A; RFC 7518 section 3.3
)

// keySet is the public keys of one issuer (RFC 7517), immutable.
type keySet struct {
	byID map[string]*publicKey
	all  []*publicKey
	raw  string
}

type publicKey struct {
	alg string // when the set says it; else any that fits the key
	key any
}

// rawKey is what must be looked at before a key is taken in.
type rawKey struct {
	Kty string   `json:"kty"`
	Kid string   `json:"kid"`
	Use string   `json:"use"`
	Alg string   `json:"alg"`
	Ops []string `json:"key_ops"`
}

// parseKeySet reads a JWKS document. Keys for other purposes or of unknown kinds are passed over, as RFC 7517 section 5
// asks; a set that holds a private or shared key, a weak one, or one kid twice is refused as a whole.
func parseKeySet(doc []byte) (*keySet, error) {
	if len(doc) > maxKeySet {
		return nil, fmt.Errorf("key set larger than %d bytes", maxKeySet)
	}
	if _, err := parseObject(doc); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	var list struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(doc, &list); err != nil {
		return nil, errors.New("key set is malformed")
	}
	if len(list.Keys) > maxKeys {
		return nil, fmt.Errorf("key set has more than %d keys", maxKeys)
	}
	set := &keySet{byID: map[string]*publicKey{}, raw: string(doc)}
	for i, raw := range list.Keys {
		if err := set.add(raw); err != nil {
			return nil, fmt.Errorf("key %d of the set: %w", i+1, err)
		}
	}
	if len(set.all) == 0 {
		return nil, errors.New("key set has no key that verifies signatures")
	}
	return set, nil
}

func (s *keySet) add(raw []byte) error {
	members, err := parseObject(raw)
	if err != nil {
		return err
	}
	for _, private := range [...]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, ok := members[private]; ok {
			return errors.New("it is private or shared; publish public keys only")
		}
	}
	var r rawKey
	if err := json.Unmarshal(raw, &r); err != nil {
		return errors.New("malformed")
	}
	_, hasOps := members["key_ops"]
	switch {
	case r.Kty == "oct":
		return errors.New("it is shared; publish public keys only")
	case r.Kty != "RSA" && r.Kty != "EC" && r.Kty != "OKP",
		r.Use != "" && r.Use != "sig",
		hasOps && !slices.Contains(r.Ops, "verify"),
		r.Alg != "" && !slices.Contains(algorithms[:], r.Alg):
		return nil // for something else
	case len(r.Kid) > maxKid:
		return errors.New("kid too long")
	}
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(raw); err != nil || !k.Valid() || !k.IsPublic() {
		return errors.New("malformed")
	}
	p := &publicKey{alg: r.Alg, key: k.Key}
	if err := p.check(); err != nil {
		return err
	}
	if r.Kid != "" {
		if s.byID[r.Kid] != nil {
			return errors.New("its kid is in the set twice")
		}
		s.byID[r.Kid] = p
	}
	s.all = append(s.all, p)
	return nil
}

func (p *publicKey) check() error {
	if k, ok := p.key.(*rsa.PublicKey); ok {
		if k.N.BitLen() < minRSABits || k.E < 3 || k.E%2 == 0 {
			return fmt.Errorf("an RSA key needs %d bits and an odd exponent", minRSABits)
		}
		if roca(k.N) {
			return errors.New("it was made by a broken generator (CVE-2017-15361): its private half can be computed")
		}
	}
	if p.alg != "" && !p.fits(p.alg) {
		return fmt.Errorf("its alg %q does not fit its type", p.alg)
	}
	return nil
}

// fits says whether signatures of alg can be made with this kind of key (RFC 7518 section 3.1, RFC 8037).
func (p *publicKey) fits(alg string) bool {
	switch k := p.key.(type) {
	case *rsa.PublicKey:
		return alg[:2] == "RS" || alg[:2] == "PS"
	case *ecdsa.PublicKey:
		bits := map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}[alg]
		return bits == k.Curve.Params().BitSize
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// find returns the one key that h may be checked with. Without a kid the set must leave no choice.
func (s *keySet) find(h header) (any, error) {
	p := s.byID[h.kid]
	if h.kid == "" {
		if len(s.all) != 1 {
			return nil, errors.New("token names no key and the set has several")
		}
		p = s.all[0]
	}
	switch {
	case p == nil:
		return nil, errors.New("token names an unknown key")
	case p.alg != "" && p.alg != h.alg || !p.fits(h.alg):
		return nil, errors.New("token's algorithm is not that of its key")
	}
	return p.key, nil
}

// roca recognises moduli of the generator of CVE-2017-15361: modulo every small prime they are powers of 65537
// (Nemec et al., "The Return of Coppersmith's Attack", 2017). A sound modulus passes for one once in 2^27.
func roca(n *big.Int) bool {
	for _, prime := range [...]int64{3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
		97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167} {
		rest := new(big.Int).Mod(n, big.NewInt(prime)).Int64()
		power := int64(1)
		for range prime {
			if power == rest {
				break
			}
			power = power * 65537 % prime
		}
		if power != rest {
			return false
		}
	}
	return true
}
