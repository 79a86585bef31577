package webhook

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	_ "crypto/sha256" // the hashes of crypto.Hash
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"casemate"
)

// MinSecret is the least bytes of a secret: a shorter one can be guessed by whoever saw one request.
const MinSecret = 16

// Bounds of what a sender's headers may hold.
const (
	maxHeader     = 4 << 10
	maxSignatures = 16  // in one header: a sender signs with two secrets while it rotates them, rarely with more
	maxID         = 256 // bytes of a message's id
)

// message is what the headers say about a request's signature. Nothing in it is believed yet.
type message struct {
	at            time.Time // zero: the scheme has none
	before, after string    // what is signed is before, the body, after
	sigs          []signature
	key           func(value []byte) (hmacKey []byte, public ed25519.PublicKey, err error)
}

// signature is one of those that were sent; any one that holds will do.
type signature struct {
	public bool // ed25519; else an HMAC with hash
	hash   crypto.Hash
	value  []byte
}

// headers reads one header that must stand alone.
type headers struct {
	get func(name string) []string
	err error
}

func (h *headers) one(name string) string {
	values := h.get(name)
	switch {
	case h.err != nil:
	case len(values) == 0 || values[0] == "":
		h.err = fmt.Errorf("no header %s", name)
	case len(values) > 1:
		h.err = fmt.Errorf("header %s comes twice", name)
	case len(values[0]) > maxHeader:
		h.err = fmt.Errorf("header %s is too long", name)
	default:
		return values[0]
	}
	return ""
}

// time reads seconds since 1970, in digits alone.
func (h *headers) time(text string) time.Time {
	n, err := strconv.ParseInt(text, 10, 64)
	if h.err == nil && (err != nil || n <= 0 || n > 1e11 || text[0] == '+') {
		h.err = errors.New("the time is none")
	}
	return time.Unix(n, 0)
}

// signedBy names the header that makes a request one of this sender's.
func signedBy(w *casemate.Webhook, get func(string) []string) string {
	switch w.Scheme {
	case "standard-webhooks":
		return standardNames(get) + "signature"
	case "github":
		return "x-hub-signature-256"
	case "stripe":
		return "stripe-signature"
	case "slack":
		return "x-slack-signature"
	}
	if w.HMAC == nil {
		return ""
	}
	return w.HMAC.Header
}

// standardNames is how the headers begin: as the specification has it, or as its oldest senders still do.
func standardNames(get func(string) []string) string {
	if len(get("webhook-signature")) == 0 && len(get("svix-signature")) > 0 {
		return "svix-"
	}
	return "webhook-"
}

// read takes a request's headers apart by the sender's scheme.
func read(w *casemate.Webhook, get func(string) []string) (*message, error) {
	h := &headers{get: get}
	m := &message{key: plainKey}
	switch w.Scheme {
	case "standard-webhooks":
		m.standard(h)
	case "github":
		m.github(h)
	case "stripe":
		m.stripe(h)
	case "slack":
		m.slack(h)
	case "hmac":
		if w.HMAC == nil {
			return nil, errors.New("the sender's scheme is not described")
		}
		m.generic(h, w.HMAC)
	default:
		return nil, fmt.Errorf("scheme %q is not known", w.Scheme)
	}
	switch {
	case h.err != nil:
		return nil, h.err
	case len(m.sigs) == 0:
		return nil, errors.New("no signature of a kind that is taken")
	case len(m.sigs) > maxSignatures:
		return nil, errors.New("too many signatures")
	}
	return m, nil
}

// standard is https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: v1 is HMAC-SHA256,
// v1a is Ed25519, both over id, time and body. An id with a dot in it could be read in two ways.
func (m *message) standard(h *headers) {
	names := standardNames(h.get)
	id, at, list := h.one(names+"id"), h.one(names+"timestamp"), h.one(names+"signature")
	if h.err != nil {
		return
	}
	if len(id) > maxID || strings.ContainsAny(id, ". \t") {
		h.err = errors.New("the id is none")
		return
	}
	m.at, m.before, m.key = h.time(at), id+"."+at+".", standardKey
	for _, s := range strings.Fields(list) {
		version, text, _ := strings.Cut(s, ",")
		value, err := base64.StdEncoding.Strict().DecodeString(text)
		switch {
		case err != nil:
		case version == "v1":
			m.sigs = append(m.sigs, signature{hash: crypto.SHA256, value: value})
		case version == "v1a" && len(value) == ed25519.SignatureSize:
			m.sigs = append(m.sigs, signature{public: true, value: value})
		}
	}
}

// github is https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries. It signs the body and no
// time; the header with SHA-1 is not looked at.
func (m *message) github(h *headers) {
	m.hex(h.one("x-hub-signature-256"), "sha256=", crypto.SHA256)
}

// stripe is https://docs.stripe.com/webhooks?verify=verify-manually: t=<time>,v1=<hex>. Signatures of other versions (v0
// is of the test mode) are not looked at: that would be a way down.
func (m *message) stripe(h *headers) {
	times := 0
	for part := range strings.SplitSeq(h.one("stripe-signature"), ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "t":
			times++
			m.at, m.before = h.time(value), value+"."
		case "v1":
			m.hex(value, "", crypto.SHA256)
		}
	}
	if h.err == nil && times != 1 {
		h.err = errors.New("the signature has no time, or two")
	}
}

// slack is https://api.slack.com/authentication/verifying-requests-from-slack.
func (m *message) slack(h *headers) {
	at, sig := h.one("x-slack-request-timestamp"), h.one("x-slack-signature")
	if h.err == nil {
		m.at, m.before = h.time(at), "v0:"+at+":"
		m.hex(sig, "v0=", crypto.SHA256)
	}
}

func (m *message) generic(h *headers, s *casemate.HMACScheme) {
	text := h.one(s.Header)
	before, after, once := strings.Cut(s.Signed, "{body}")
	if !once || strings.Contains(after, "{body}") {
		h.err = errors.New("the scheme signs no body")
	}
	timed := strings.Contains(s.Signed, "{timestamp}")
	if timed != (s.Timestamp != "") {
		h.err = errors.New("the scheme has a time that is not signed")
	}
	if h.err == nil && timed {
		at := h.one(s.Timestamp)
		if h.err != nil {
			return
		}
		m.at = h.time(at)
		before, after = strings.ReplaceAll(before, "{timestamp}", at), strings.ReplaceAll(after, "{timestamp}", at)
	}
	hash, known := map[string]crypto.Hash{"sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512}[s.Algorithm]
	switch {
	case h.err != nil:
		return
	case !known:
		h.err = fmt.Errorf("hash %q is not taken", s.Algorithm)
	case s.Encoding == "hex":
		m.hex(text, s.Prefix, hash)
	case s.Encoding == "base64":
		rest, ok := strings.CutPrefix(text, s.Prefix)
		if value, err := base64.StdEncoding.Strict().DecodeString(rest); ok && err == nil {
			m.sigs = append(m.sigs, signature{hash: hash, value: value})
		}
	default:
		h.err = fmt.Errorf("encoding %q is not known", s.Encoding)
	}
	m.before, m.after = before, after
}

// hex adds a signature in hexadecimal, in either case, behind its prefix.
func (m *message) hex(text, prefix string, hash crypto.Hash) {
	rest, ok := strings.CutPrefix(text, prefix)
	if value, err := hex.DecodeString(rest); ok && err == nil {
		m.sigs = append(m.sigs, signature{hash: hash, value: value})
	}
}

// plainKey takes a secret as the bytes that it is.
func plainKey(value []byte) ([]byte, ed25519.PublicKey, error) {
	if len(value) < MinSecret {
		return nil, nil, fmt.Errorf("the secret is shorter than %d bytes", MinSecret)
	}
	return value, nil, nil
}

// standardKey takes "whsec_" and "whpk_" with what stands behind them in base64; without either it is a shared one.
func standardKey(value []byte) ([]byte, ed25519.PublicKey, error) {
	text, public := strings.CutPrefix(string(value), "whpk_")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	switch {
	case err != nil:
		return nil, nil, errors.New("the secret is not in base64, as whsec_... is")
	case public && len(raw) != ed25519.PublicKeySize:
		return nil, nil, errors.New("the key is no Ed25519 public key")
	case public:
		return nil, raw, nil
	}
	return plainKey(raw)
}

// holds reports whether one of the signatures was made with the secret. It takes equally long wherever it differs.
func (m *message) holds(secret, body []byte) (bool, error) {
	key, public, err := m.key(secret)
	if err != nil {
		return false, err
	}
	held := false
	for _, s := range m.sigs {
		switch {
		case s.public && public != nil:
			signed := append(append([]byte(m.before), body...), m.after...)
			held = ed25519.Verify(public, signed, s.value) || held
		case !s.public && key != nil:
			mac := hmac.New(s.hash.New, key)
			mac.Write([]byte(m.before))
			mac.Write(body)
			mac.Write([]byte(m.after))
			held = hmac.Equal(mac.Sum(nil), s.value) || held
		}
	}
	return held, nil
}
