// Package authenticator is a WebAuthn authenticator in software, with the browser in front of it, for tests: it makes
// passkeys with ECDSA on P-256 and signs with them, and can be told to do either wrongly.
package authenticator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// Flags of authenticator data (https://www.w3.org/TR/webauthn-3/#authdata-flags).
const (
	UserPresent  = 1 << 0
	UserVerified = 1 << 2
	attested     = 1 << 6
)

// Browser is where a ceremony takes place.
type Browser struct{ Origin string }

// Key is a passkey on an authenticator.
type Key struct {
	ID     []byte
	Handle []byte // of its user
	RPID   string
	Count  uint32
	Secret *ecdsa.PrivateKey
}

// Twist is what is done wrongly; the zero Twist is all right.
type Twist struct {
	Type      string         // of the client data
	Origin    string         //
	RPID      string         // whose hash goes into the authenticator data
	Challenge string         //
	Flags     *byte          //
	Count     *uint32        //
	Format    string         // of the attestation
	Statement []byte         // CBOR of the attestation's statement
	COSE      []byte         // public key
	ID        []byte         // credential id that is claimed
	Handle    []byte         //
	Padding   int            // bytes of rubbish in the attestation
	Data      map[string]any // further members of the client data
}

type creation struct {
	PublicKey struct {
		RP struct {
			ID string `json:"id"`
		} `json:"rp"`
		User struct {
			ID string `json:"id"`
		} `json:"user"`
		Challenge string `json:"challenge"`
		Selection struct {
			Verification string `json:"userVerification"`
			Resident     string `json:"residentKey"`
		} `json:"authenticatorSelection"`
	} `json:"publicKey"`
}

type request struct {
	PublicKey struct {
		RPID      string `json:"rpId"`
		Challenge string `json:"challenge"`
		Verify    string `json:"userVerification"`
	} `json:"publicKey"`
}

// Create makes a passkey for the options that a relying party gave, and its answer.
func (b Browser) Create(options []byte, twist Twist) (*Key, []byte, error) {
	var o creation
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, nil, err
	}
	p := o.PublicKey
	if p.RP.ID == "" || p.Challenge == "" || p.Selection.Verification != "required" || p.Selection.Resident != "required" {
		return nil, nil, fmt.Errorf("these are no options for a passkey: %s", options)
	}
	handle, err := base64.RawURLEncoding.DecodeString(p.User.ID)
	if err != nil {
		return nil, nil, err
	}
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	k := &Key{ID: make([]byte, 32), Handle: handle, RPID: p.RP.ID, Secret: secret}
	if _, err := rand.Read(k.ID); err != nil {
		return nil, nil, err
	}
	if twist.ID != nil {
		k.ID = twist.ID
	}
	cose, err := k.cose()
	if err != nil {
		return nil, nil, err
	}
	if twist.COSE != nil {
		cose = twist.COSE
	}
	auth := k.authData(twist, attested)
	auth = append(auth, make([]byte, 16)...) // AAGUID
	auth = binary.BigEndian.AppendUint16(auth, uint16(len(k.ID)))
	auth = append(append(auth, k.ID...), cose...)
	format, statement := "none", []byte{0xa0}
	if twist.Format != "" {
		format = twist.Format
	}
	if twist.Statement != nil {
		statement = twist.Statement
	}
	object := []byte{0xa3}
	object = append(append(object, text("fmt")...), text(format)...)
	object = append(append(object, text("attStmt")...), statement...)
	object = append(append(object, text("authData")...), bytes(append(auth, make([]byte, twist.Padding)...))...)
	answer, err := k.answer(map[string]any{"clientDataJSON": b64(b.clientData("webauthn.create", p.Challenge, twist)), "attestationObject": b64(object), "transports": []string{"internal"}})
	return k, answer, err
}

// Get signs the options' challenge with k, and counts.
func (b Browser) Get(options []byte, k *Key, twist Twist) ([]byte, error) {
	var o request
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, err
	}
	if o.PublicKey.RPID != k.RPID || o.PublicKey.Verify != "required" {
		return nil, errors.New("this authenticator has no passkey for " + o.PublicKey.RPID)
	}
	if twist.Count == nil {
		k.Count++
	}
	data, auth := b.clientData("webauthn.get", o.PublicKey.Challenge, twist), k.authData(twist, 0)
	hash := sha256.Sum256(data)
	digest := sha256.Sum256(append(append([]byte(nil), auth...), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, k.Secret, digest[:])
	if err != nil {
		return nil, err
	}
	handle := k.Handle
	if twist.Handle != nil {
		handle = twist.Handle
	}
	claimed := *k
	if twist.ID != nil {
		claimed.ID = twist.ID
	}
	return claimed.answer(map[string]any{"clientDataJSON": b64(data), "authenticatorData": b64(auth), "signature": b64(signature), "userHandle": b64(handle)})
}

func (k *Key) answer(response map[string]any) ([]byte, error) {
	return json.Marshal(map[string]any{"id": b64(k.ID), "rawId": b64(k.ID), "type": "public-key", "clientExtensionResults": map[string]any{}, "response": response})
}

func (b Browser) clientData(kind, challenge string, twist Twist) []byte {
	data := map[string]any{"type": kind, "challenge": challenge, "origin": b.Origin, "crossOrigin": false}
	for name, value := range map[string]string{"type": twist.Type, "challenge": twist.Challenge, "origin": twist.Origin} {
		if value != "" {
			data[name] = value
		}
	}
	for name, value := range twist.Data {
		data[name] = value
	}
	out, _ := json.Marshal(data) // strings and what a test put in
	return out
}

func (k *Key) authData(twist Twist, flags byte) []byte {
	id := k.RPID
	if twist.RPID != "" {
		id = twist.RPID
	}
	hash := sha256.Sum256([]byte(id))
	flags |= UserPresent | UserVerified
	if twist.Flags != nil {
		flags = flags&attested | *twist.Flags
	}
	count := k.Count
	if twist.Count != nil {
		count = *twist.Count
	}
	return binary.BigEndian.AppendUint32(append(hash[:], flags), count)
}

// cose is the public key as COSE has it (RFC 9053 section 7.1): EC2, ES256, P-256.
func (k *Key) cose() ([]byte, error) {
	point, err := k.Secret.PublicKey.Bytes() // 4 | x | y
	if err != nil {
		return nil, err
	}
	out := []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21}
	out = append(out, bytes(point[1:33])...)
	return append(append(out, 0x22), bytes(point[33:])...), nil
}

// text and bytes are CBOR's strings (RFC 8949 section 3.1).
func text(s string) []byte  { return append(head(3, len(s)), s...) }
func bytes(b []byte) []byte { return append(head(2, len(b)), b...) }

func head(major byte, n int) []byte {
	switch major <<= 5; {
	case n < 24:
		return []byte{major | byte(n)}
	case n < 1<<8:
		return []byte{major | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{major | 25}, uint16(n))
	}
	return binary.BigEndian.AppendUint32([]byte{major | 26}, uint32(n))
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
