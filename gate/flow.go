package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"casemate"
)

// begin takes the step that the event's route is of a declared order of calls. What tells one flow from another is the
// caller and the key that the route names; a claim is its issuer's word and stands for itself, so that one person may go on
// with another token.
func (g *Gate) begin(ctx context.Context, a *admitted) (err error) {
	e, r := a.event, a.match.Route
	if r == nil || r.Flow == nil || e.DryRun || e.Credential.Kind == casemate.CredentialRun {
		return nil
	}
	switch {
	case g.c.Flow == nil:
		return &casemate.Error{Code: casemate.Unavailable, Message: "this node keeps no flows"}
	case e.Async:
		return casemate.Errorf(casemate.Invalid, "ask again without Prefer: respond-async", "a step of a flow is answered at once")
	}
	key, err := flowKey(e, a.match, a.principal, a.clean)
	if err != nil {
		return err
	}
	limits := a.match.Version.Limits
	patience := limits.Timeout + limits.InitTimeout + time.Minute // longer than the run can last
	a.step, err = g.c.Flow.Take(ctx, g.c.Clock(), r.Flow, key, e.ID, patience)
	return err
}

// flowKey is a digest of what tells this caller's flow from others.
func flowKey(e *casemate.Event, m *casemate.Match, p *casemate.Principal, body []byte) (string, error) {
	owner, value := "caller\x00"+p.ID, ""
	rule, where, _ := strings.Cut(m.Route.Flow.Key, ":")
	switch rule {
	case "caller":
		if !p.Known() {
			return "", noFlow("caller", "send a credential")
		}
		value = p.ID
	case "claim":
		issuer, _, _ := strings.Cut(p.ID, "|")
		owner, value = "issuer\x00"+issuer, p.Claims[where]
	case "path":
		value = m.Params[where]
	case "body":
		value = field(body, where)
	case "header":
		if e.Header != nil {
			if values := e.Header(where); len(values) == 1 {
				value = values[0]
			}
		}
	default: // a rule of a later release, or a damaged one
		return "", casemate.Errorf(casemate.Fault, "deploy the app again", "the flow's key %q is not known", rule)
	}
	if value == "" {
		return "", noFlow(strings.TrimSpace(rule+" "+where), "send it once, as a text or a number")
	}
	sum := sha256.Sum256([]byte(rule + "\x00" + where + "\x00" + owner + "\x00" + value))
	return hex.EncodeToString(sum[:]), nil
}

func noFlow(what, hint string) error {
	return &casemate.Error{Code: casemate.Invalid, Field: "flow", Message: "the call is a step of a flow, and its " + what + " is missing", Hint: hint}
}
