package acme

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/mholt/acmez/v3"
	rfc8555 "github.com/mholt/acmez/v3/acme"

	"casemate"
	"casemate/store"
)

// EAB binds the account to one that the authority's customer has already (RFC 8555 section 7.3.4).
type EAB struct {
	KeyID  string `json:"key_id"`
	MACKey string `json:"mac_key"` // base64url, as authorities hand it out
}

// ParseEAB reads {"key_id": ..., "mac_key": ...}. An error names no value.
func ParseEAB(text []byte) (*EAB, error) {
	bad := &casemate.Error{Code: casemate.Invalid, Field: "--acme-eab-file", Message: "not an external account binding", Hint: `{"key_id": "...", "mac_key": "..."}, the key in base64url as the authority hands it out`}
	e := &EAB{}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if dec.Decode(e) != nil || dec.Decode(new(any)) != io.EOF {
		return nil, bad
	}
	e.MACKey = strings.TrimRight(e.MACKey, "=")
	key, err := base64.RawURLEncoding.DecodeString(e.MACKey)
	if err != nil || len(key) < 16 || e.KeyID == "" || len(e.KeyID) > 512 || strings.ContainsFunc(e.KeyID, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil, bad
	}
	return e, nil
}

// record is what the store holds of an account.
type record struct {
	Location string `json:"location"` // its URL at the authority, which says who it is
	Key      string `json:"key"`      // where its key lies in the vault
}

func (r *Room) accountKey() string {
	sum := sha256.Sum256([]byte(r.cfg.Email))
	return "account/" + r.place() + hex.EncodeToString(sum[:8])
}

// account is the one of this authority and address, made when there is none.
func (r *Room) account(ctx context.Context, c *acmez.Client) (rfc8555.Account, error) {
	a := rfc8555.Account{TermsOfServiceAgreed: true, Status: rfc8555.StatusValid}
	if r.cfg.Email != "" {
		a.Contact = []string{"mailto:" + r.cfg.Email}
	}
	got, err := r.kv.Get(ctx, r.accountKey())
	if err != nil {
		if casemate.CodeOf(err) == casemate.NotFound {
			return r.register(ctx, c, a)
		}
		return a, err
	}
	rec := record{}
	if err := json.Unmarshal(got.Value, &rec); err != nil {
		return a, fmt.Errorf("the account that was kept is damaged (casemate tls renew --new-account makes another): %w", err)
	}
	text, err := r.cfg.Vault.Get(ctx, rec.Key)
	if err != nil {
		return a, fmt.Errorf("opening the account's key (casemate tls renew --new-account makes another): %w", err)
	}
	defer clear(text)
	key, err := x509.ParsePKCS8PrivateKey(text)
	ours, ok := key.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return a, errors.New("the account's key is damaged (casemate tls renew --new-account makes another)")
	}
	a.PrivateKey, a.Location = ours, rec.Location
	return a, nil
}

func (r *Room) register(ctx context.Context, c *acmez.Client, a rfc8555.Account) (rfc8555.Account, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return a, err
	}
	a.PrivateKey, a.Status = key, ""
	if r.cfg.EAB != nil {
		if err := a.SetExternalAccountBinding(ctx, c.Client, rfc8555.EAB(*r.cfg.EAB)); err != nil {
			return a, err
		}
	}
	if a, err = c.NewAccount(ctx, a); err != nil {
		return a, fmt.Errorf("making an account: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return a, err
	}
	defer clear(der)
	rec := record{Location: a.Location, Key: "acme/" + r.accountKey()}
	text, err := json.Marshal(rec)
	if err != nil {
		return a, err
	}
	if err := r.cfg.Vault.Drop(ctx, rec.Key); err != nil { // of one that was not written down to its end
		return a, err
	}
	if err := r.cfg.Vault.Put(ctx, rec.Key, der); err != nil {
		return a, err
	}
	if _, err := r.kv.Put(ctx, r.accountKey(), text, store.NewKey); err != nil {
		return a, err
	}
	r.cfg.Log.Info("made an account with the authority, and agreed to its terms", "account", a.Location)
	return a, nil
}

// dropAccount leaves the account behind: the next order makes another.
func (r *Room) dropAccount(ctx context.Context) error {
	if err := r.cfg.Vault.Drop(ctx, "acme/"+r.accountKey()); err != nil {
		return err
	}
	err := r.kv.Delete(ctx, r.accountKey(), store.AnyRevision)
	if casemate.CodeOf(err) == casemate.NotFound {
		return nil
	}
	return err
}

// talk is a client of the authority, for one conversation.
func (r *Room) talk() *acmez.Client {
	return &acmez.Client{Client: &rfc8555.Client{Directory: r.cfg.Directory, HTTPClient: r.http, UserAgent: "casemate"}, ChallengeSolvers: r.solvers()}
}

// client speaks to the authority alone: no proxy, no redirects, answers of bounded size.
func client(roots *x509.CertPool) *http.Client {
	dial := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: confined{&http.Transport{DialContext: dial.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
			ResponseHeaderTimeout: 30 * time.Second, IdleConnTimeout: 30 * time.Second, MaxIdleConns: 4, MaxResponseHeaderBytes: 64 << 10,
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}}
}

// confined refuses URLs that others could read along, wherever in an answer they came from, and cuts answers.
type confined struct{ *http.Transport }

// maxAnswer bounds an answer in bytes.
const maxAnswer = 1 << 20

// RoundTrip implements http.RoundTripper.
func (t confined) RoundTrip(q *http.Request) (*http.Response, error) {
	if !confidential(q.URL) {
		return nil, fmt.Errorf("the authority leads to %.300q, which is not https", q.URL.Redacted())
	}
	a, err := t.Transport.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	a.Body = cut{io.LimitReader(a.Body, maxAnswer), a.Body}
	return a, nil
}

type cut struct {
	io.Reader
	io.Closer
}

// told is what an operator is told: what the authority said, and what to do.
func told(name, directory string, err error) *casemate.Error {
	e := &casemate.Error{Code: casemate.Unavailable, Message: name + ": " + short(err.Error()), Err: err,
		Hint: "is the authority reachable from here? --acme-ca names its directory (" + directory + "), --acme-ca-root whom its own certificate comes from"}
	var p rfc8555.Problem
	if !errors.As(err, &p) {
		return e
	}
	_, validated := p.Resource.(rfc8555.Authorization)
	switch p.Type {
	case rfc8555.ProblemTypeRateLimited:
		e.Hint = "the authority's limit is reached: the node waits by itself"
	case rfc8555.ProblemTypeExternalAccountRequired:
		e.Hint = "this authority wants an account of its own: --acme-eab-file with the key that it hands out"
	case rfc8555.ProblemTypeRejectedIdentifier, rfc8555.ProblemTypeCAA, rfc8555.ProblemTypeUnsupportedIdentifier:
		e.Hint = "the authority does not issue for this name: look at the CAA records of the name, or take another authority"
	case rfc8555.ProblemTypeUserActionRequired, rfc8555.ProblemTypeAccountDoesNotExist:
		e.Hint = "read the authority's terms again, then casemate tls renew --new-account"
	case rfc8555.ProblemTypeUnauthorized, rfc8555.ProblemTypeDNS, rfc8555.ProblemTypeConnection, rfc8555.ProblemTypeTLS, rfc8555.ProblemTypeIncorrectResponse:
		e.Hint = reach(name)
		if p.Type == rfc8555.ProblemTypeUnauthorized && !validated {
			e.Hint = "the authority does not take the account: casemate tls renew --new-account makes another"
		}
	default:
		e.Hint = "the authority refused it, in the words above"
		if validated {
			e.Hint = reach(name)
		}
	}
	return e
}

func reach(name string) string {
	return "the authority must reach this node at every address of " + name + ": on port 443 (--https), or on port 80 with --redirect :80"
}

// short is what others wrote, fit for a line of a log.
func short(s string) string {
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == unicode.ReplacementChar {
			return ' '
		}
		return c
	}, s)
	if r := []rune(s); len(r) > 400 {
		return string(r[:400]) + "..."
	}
	return s
}
