package authorizer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"casemate"
)

// Bounds of an answer. The policy's is API Gateway's.
const (
	maxAnswer     = 64 << 10
	maxPolicy     = 8 << 10
	maxStatements = 100
	maxContext    = 64
	maxPrincipal  = 256
)

// said is what an authorizer answered: a principal, or a no.
type said struct {
	who   *casemate.Principal // nil: no
	until time.Time
}

// principal gives a copy, whose maps and slices are shared.
func (s *said) principal() (*casemate.Principal, error) {
	if s.who == nil {
		return nil, &casemate.Error{Code: casemate.Forbidden, Message: "the authorizer of this route says no", Hint: "ask whoever runs this API for access"}
	}
	p := *s.who
	return &p, nil
}

// answer is what the function may say: an IAM policy for a principal, or (format 2.0) yes or no
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html).
type answer struct {
	Principal  *string                    `json:"principalId"`
	Policy     json.RawMessage            `json:"policyDocument"`
	Authorized *bool                      `json:"isAuthorized"`
	Context    map[string]json.RawMessage `json:"context"`
}

// read takes an answer that is wholly well formed; anything else is a failure of the function.
func (r *Room) read(res *casemate.Result, a *casemate.Authorizer, sources []string) (*said, error) {
	if res.Failure != casemate.FailureNone {
		var report struct {
			Message string `json:"errorMessage"`
		}
		if res.Failure == casemate.FailureHandled && json.Unmarshal(res.Payload, &report) == nil && report.Message == "Unauthorized" {
			return nil, unauthenticated(errors.New("the authorizer says Unauthorized")) // AWS's word for 401
		}
		return nil, failed(fmt.Errorf("it failed: %s", res.Failure))
	}
	x, err := decode(res.Payload)
	if err != nil {
		return nil, failed(err)
	}
	p := &casemate.Principal{Kind: casemate.KindAuthorizer, Account: r.cfg.Place.Account, Role: a.Role, Tags: map[string]string{"app": a.App, "authorizer": a.ID()}}
	name := ""
	switch hasPolicy := len(x.Policy) > 0 && string(x.Policy) != "null"; {
	case hasPolicy == (x.Authorized != nil):
		return nil, failed(errors.New("its answer has to hold policyDocument or isAuthorized, one of them"))
	case x.Authorized != nil && a.Format != "2.0":
		return nil, failed(errors.New("isAuthorized is an answer of format 2.0"))
	case x.Authorized != nil && !*x.Authorized:
		return &said{}, nil
	case x.Authorized != nil:
		name = digest(sources)
	default:
		if p.Scope, err = r.policy(x.Policy, a); err != nil {
			return nil, failed(err)
		}
		if x.Principal == nil || !named(*x.Principal) {
			return nil, failed(errors.New("its answer names no usable principalId"))
		}
		name = *x.Principal
	}
	if p.Context, err = texts(x.Context); err != nil {
		return nil, failed(err)
	}
	p.ID = a.ID() + "|" + name
	p.ARN = "arn:aws:iam::" + r.cfg.Place.Account + ":" + a.ID() + "/" + url.PathEscape(name)
	return &said{who: p}, nil
}

// decode reads one JSON object and nothing after it.
func decode(raw []byte) (*answer, error) {
	if len(raw) > maxAnswer {
		return nil, fmt.Errorf("its answer is larger than %d bytes", maxAnswer)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	x := &answer{}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '{' || !utf8.Valid(raw) {
		return nil, errors.New("its answer is no JSON object")
	}
	if err := d.Decode(x); err != nil {
		return nil, fmt.Errorf("its answer cannot be read: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows its answer")
	}
	return x, nil
}

// policy reads what becomes the scope of the principal: never nil, so that it always has to allow.
func (r *Room) policy(doc []byte, a *casemate.Authorizer) ([]casemate.Statement, error) {
	if len(doc) > maxPolicy {
		return nil, fmt.Errorf("its policy is larger than %d bytes", maxPolicy)
	}
	list, err := r.cfg.Parse(doc, "answer of "+a.ID())
	switch {
	case err != nil:
		return nil, fmt.Errorf("its policy cannot be read: %w", err)
	case len(list) == 0 || len(list) > maxStatements:
		return nil, fmt.Errorf("its policy has %d statements", len(list))
	}
	return list, nil
}

func named(s string) bool {
	return s != "" && len(s) <= maxPrincipal && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == '|' })
}

// digest names who showed these values, where the answer does not: enough to tell callers apart.
func digest(sources []string) string {
	h := sha256.New()
	for _, s := range sources {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// texts are the values for the function, as API Gateway hands them on: texts, numbers and booleans, as text.
func texts(in map[string]json.RawMessage) (map[string]string, error) {
	if len(in) > maxContext {
		return nil, fmt.Errorf("its context has more than %d values", maxContext)
	}
	if len(in) == 0 {
		return nil, nil
	}
	out := make(map[string]string, len(in))
	for name, raw := range in {
		var text string
		switch raw := bytes.TrimSpace(raw); {
		case len(raw) == 0 || raw[0] == '{' || raw[0] == '[':
			return nil, fmt.Errorf("its context holds an object or a list at %.40q", name)
		case string(raw) == "null":
			continue
		case raw[0] != '"':
			text = string(raw)
		default:
			if err := json.Unmarshal(raw, &text); err != nil {
				return nil, fmt.Errorf("its context cannot be read at %.40q", name)
			}
		}
		out[name] = text
	}
	return out, nil
}
