package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"casemate"
)

// BeginSignIn starts a sign-in, which bound stands for: a random value that only who began it has. With operator empty the
// passkey says whose it is; otherwise it has to be one of that operator's. The question is the same for every operator, and
// for a name that nobody has: passkeys are found by the authenticator, and none is named. What it gives goes to
// navigator.credentials.get as it is.
func (r *Room) BeginSignIn(operator, bound string) (json.RawMessage, error) {
	if bound == "" {
		return nil, &casemate.Error{Code: casemate.Invalid, Field: "bound", Message: "a sign-in needs something to be known by", Hint: "begin at the sign-in page"}
	}
	at, err := r.where()
	if err != nil {
		return nil, err
	}
	challenge, err := r.desk.challenge(purpose{signIn, operator, bound})
	if err != nil {
		return nil, err
	}
	options, _, err := at.lib.BeginDiscoverableLogin(webauthn.WithChallenge(challenge), func(o *protocol.PublicKeyCredentialRequestOptions) error {
		o.Timeout = int(Lifetime.Milliseconds())
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("asking for a passkey: %w", err)
	}
	return json.Marshal(options)
}

// SignIn says whose passkey answered BeginSignIn's challenge for the same operator and bound. Its user was verified on the
// authenticator: it is two factors, something one has and something one knows or is. Whatever does not hold is one and the
// same Unauthenticated error. A sign counter that went back means a copy: the passkey opens nothing from then on.
func (r *Room) SignIn(ctx context.Context, operator, bound string, response []byte) (Passkey, error) {
	if len(response) > MaxResponse {
		return Passkey{}, tooLarge()
	}
	k, err := r.signIn(ctx, operator, bound, response)
	if err == nil {
		return k, nil
	}
	r.cfg.Log.Warn("a passkey was refused", "err", err)
	var coded *casemate.Error
	if errors.As(err, &coded) {
		return Passkey{}, err
	}
	return Passkey{}, &casemate.Error{Code: casemate.Unauthenticated, Message: "the passkey was not accepted", Hint: "begin again; casemate operator passkey list shows which there are", Err: err}
}

func (r *Room) signIn(ctx context.Context, operator, bound string, response []byte) (Passkey, error) {
	at, err := r.where()
	if err != nil {
		return Passkey{}, err
	}
	answer, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return Passkey{}, fmt.Errorf("reading the answer: %w", err)
	}
	data := &answer.Response.CollectedClientData
	if bound == "" {
		return Passkey{}, errors.New("nothing says which sign-in it is for")
	}
	challenge, err := r.desk.check(data.Challenge, purpose{signIn, operator, bound})
	if err != nil {
		return Passkey{}, err
	}
	if !slices.Contains(at.origins, data.Origin) {
		return Passkey{}, errors.New("it was answered at another origin")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.keys[idOf(answer.RawID)]
	if k == nil || k.Host != at.host {
		return Passkey{}, errors.New("no operator has this credential")
	}
	switch {
	case operator != "" && k.Operator != operator:
		return Passkey{}, errors.New("the credential is another operator's")
	case operator == "" && len(answer.Response.UserHandle) == 0:
		return Passkey{}, errors.New("the credential does not say whose it is")
	case !k.Copied.IsZero():
		return Passkey{}, errors.New("the passkey " + k.ID + " was copied, and opens nothing")
	}
	u := &user{k.Operator, r.handles[k.Operator], []*known{k}}
	c, err := at.lib.ValidateLogin(u, webauthn.SessionData{Challenge: data.Challenge, RelyingPartyID: at.host, UserID: u.handle, UserVerification: protocol.VerificationRequired}, answer)
	if err != nil {
		return Passkey{}, fmt.Errorf("verifying the answer of %s: %w", k.ID, err)
	}
	if err := r.desk.take(challenge); err != nil {
		return Passkey{}, err
	}
	return r.used(ctx, k, c)
}

// used notes that a passkey was used, or that its counter went back (https://www.w3.org/TR/webauthn-3/#sctn-sign-counter).
// The lock is held.
func (r *Room) used(ctx context.Context, k *known, c *webauthn.Credential) (Passkey, error) {
	next := k.stored
	if c.Authenticator.CloneWarning {
		next.Copied = r.cfg.Clock().UTC()
		r.cfg.Log.Error("the sign counter of a passkey went back: somebody has a copy of it", slog.String("passkey", k.ID), slog.String("operator", k.Operator))
		return Passkey{}, errors.Join(errors.New("the sign counter of "+k.ID+" went back"), r.keep(ctx, next, k.revision))
	}
	next.Count, next.LastUsed = c.Authenticator.SignCount, r.cfg.Clock().UTC()
	return next.Passkey, r.keep(ctx, next, k.revision)
}
