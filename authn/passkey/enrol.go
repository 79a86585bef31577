package passkey

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"casemate"
	"casemate/store"
)

// BeginEnrol starts the making of a passkey for operator, who is signed in by session. What it gives goes to
// navigator.credentials.create as it is.
func (r *Room) BeginEnrol(ctx context.Context, operator, session string) (json.RawMessage, error) {
	if operator == "" || len(operator) > maxOperator || session == "" {
		return nil, &casemate.Error{Code: casemate.Forbidden, Message: "passkeys are made by operators, in a session of their own", Hint: "sign in first"}
	}
	at, err := r.where()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	u, err := r.enrolling(ctx, operator)
	if err != nil {
		return nil, err
	}
	challenge, err := r.desk.challenge(purpose{enrolment, operator, session})
	if err != nil {
		return nil, err
	}
	others := make([]protocol.CredentialDescriptor, 0, len(u.keys))
	for _, c := range u.WebAuthnCredentials() {
		others = append(others, c.Descriptor())
	}
	options, _, err := at.lib.BeginRegistration(u, webauthn.WithExclusions(others), webauthn.WithCredentialParameters(algorithms()),
		func(o *protocol.PublicKeyCredentialCreationOptions) error {
			o.Challenge, o.Timeout = challenge, int(Lifetime.Milliseconds())
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("asking for a passkey: %w", err)
	}
	return json.Marshal(options)
}

// enrolling is operator with all passkeys, and refuses where one more is too many. The lock is held.
func (r *Room) enrolling(ctx context.Context, operator string) (*user, error) {
	handle, err := r.handle(ctx, operator)
	if err != nil {
		return nil, err
	}
	u := &user{name: operator, handle: handle}
	for _, k := range r.keys {
		if k.Operator == operator {
			u.keys = append(u.keys, k)
		}
	}
	if len(u.keys) >= maxEach || len(r.keys) >= maxAll {
		return nil, &casemate.Error{Code: casemate.Exhausted, Message: fmt.Sprintf("an operator has %d passkeys at most", maxEach), Hint: "remove one: casemate operator passkey remove"}
	}
	return u, nil
}

// Enrol keeps the passkey that answers BeginEnrol's challenge for the same operator and session.
func (r *Room) Enrol(ctx context.Context, operator, session, name string, response []byte) (Passkey, error) {
	at, err := r.where()
	if err != nil {
		return Passkey{}, err
	}
	if name, err = label(name); err != nil {
		return Passkey{}, err
	}
	if len(response) > MaxResponse {
		return Passkey{}, tooLarge()
	}
	answer, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return Passkey{}, refusedKey("it cannot be read", err)
	}
	challenge, err := r.desk.check(answer.Response.CollectedClientData.Challenge, purpose{enrolment, operator, session})
	if err != nil {
		return Passkey{}, refusedKey("it is not the answer to a question of this session", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	u, err := r.enrolling(ctx, operator)
	if err != nil {
		return Passkey{}, err
	}
	c, err := r.verified(at, u, answer)
	if err != nil {
		return Passkey{}, err
	}
	if err := r.desk.take(challenge); err != nil {
		return Passkey{}, refusedKey("it was sent before", err)
	}
	s := stored{Passkey: Passkey{ID: idOf(c.ID), Operator: operator, Name: name, Created: r.cfg.Clock().UTC(), Synced: c.Flags.BackupEligible, Host: at.host, Making: session},
		Credential: c.ID, Key: c.PublicKey, Count: c.Authenticator.SignCount}
	for _, t := range c.Transport[:min(len(c.Transport), 8)] {
		if slices.Contains([]protocol.AuthenticatorTransport{protocol.USB, protocol.NFC, protocol.BLE, protocol.Hybrid, protocol.Internal, protocol.SmartCard}, t) {
			s.Transports = append(s.Transports, string(t))
		}
	}
	return s.Passkey, r.keep(ctx, s, store.NewKey)
}

// verified holds an answer to what was asked: this relying party, one of its origins, an algorithm that was offered, a user
// who was verified, and nothing attested. Hardware is not asked for, so a statement about it would only be more to parse.
func (r *Room) verified(at *site, u *user, answer *protocol.ParsedCredentialCreationData) (*webauthn.Credential, error) {
	data := &answer.Response.CollectedClientData
	if !slices.Contains(at.origins, data.Origin) {
		return nil, refusedKey("it was made at another address than the node's own", nil)
	}
	if f := answer.Response.AttestationObject.Format; f != "none" && f != "packed" {
		return nil, refusedKey("it comes with an attestation that nobody asked for", nil)
	}
	c, err := at.lib.CreateCredential(u, webauthn.SessionData{Challenge: data.Challenge, RelyingPartyID: at.host, UserID: u.handle, UserVerification: protocol.VerificationRequired,
		CredParams: algorithms()}, answer)
	if err != nil {
		return nil, refusedKey("it does not hold", err)
	}
	if !c.Flags.UserVerified || len(c.ID) == 0 || len(c.ID) > maxID {
		return nil, refusedKey("its user was not verified", nil)
	}
	if r.keys[idOf(c.ID)] != nil {
		return nil, &casemate.Error{Code: casemate.Conflict, Message: "this passkey is enrolled already", Hint: "sign in with it"}
	}
	return c, nil
}

// keep writes s and has it in memory. The lock is held.
func (r *Room) keep(ctx context.Context, s stored, expect uint64) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	revision, err := r.kv.Put(ctx, keyPrefix+s.ID, data, expect)
	if err != nil {
		return fmt.Errorf("keeping a passkey: %w", err)
	}
	r.keys[s.ID] = &known{s, revision}
	return nil
}

func refusedKey(why string, err error) error {
	return &casemate.Error{Code: casemate.Invalid, Field: "response", Message: "the passkey cannot be taken: " + why, Hint: "begin again, with an authenticator that asks for a PIN or a fingerprint", Err: err}
}

func tooLarge() error {
	return casemate.Errorf(casemate.TooLarge, "send what the authenticator gave, as it is", "the answer is larger than %d bytes", MaxResponse)
}
