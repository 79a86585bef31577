package condition

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"casemate"
)

type keyKind uint8

const (
	keyContext keyKind = iota // AccessRequest.Context
	keyPrincipalARN
	keyPrincipalAccount
	keyPrincipalKind
	keyPrincipalTag // name: the tag, any case
	keyUserID
	keyScopes
	keyClaim // name: the claim, exact case (RFC 7519, section 4: claim names are case-sensitive)
	keyCurrentTime
	keyEpochTime
	keyResource
	keyResourceAccount
	keyAddress // of a host that is an IP address, not a name
)

// key is a condition key. Keys that the Decider derives are never read from the request's context, so that no front can
// be talked into overriding them.
type key struct {
	kind keyKind
	name string
}

// newKey reads the name of a key. Names are compared without case, except those of claims.
func newKey(text string) (key, error) {
	if text == "" || len(text) > 256 || !strings.Contains(text, ":") {
		return key{}, fmt.Errorf("%q is no condition key: keys look like aws:SourceIp or jwt:sub", text)
	}
	for _, c := range text {
		if c < ' ' || c == 0x7f || strings.ContainsRune("${}'\"*?,", c) {
			return key{}, fmt.Errorf("%q is no condition key: it holds %q", text, c)
		}
	}
	lower := strings.ToLower(text)
	switch lower {
	case "aws:principalarn":
		return key{kind: keyPrincipalARN}, nil
	case "aws:principalaccount":
		return key{kind: keyPrincipalAccount}, nil
	case "aws:userid":
		return key{kind: keyUserID}, nil
	case "aws:currenttime":
		return key{kind: keyCurrentTime}, nil
	case "aws:epochtime":
		return key{kind: keyEpochTime}, nil
	case "aws:resourceaccount":
		return key{kind: keyResourceAccount}, nil
	case "casemate:principalkind":
		return key{kind: keyPrincipalKind}, nil
	case "casemate:scopes":
		return key{kind: keyScopes}, nil
	case "casemate:resource":
		return key{kind: keyResource}, nil
	case "casemate:address":
		return key{kind: keyAddress}, nil
	}
	if name, ok := strings.CutPrefix(lower, "aws:principaltag/"); ok {
		return key{keyPrincipalTag, name}, nil
	}
	if strings.HasPrefix(lower, "jwt:") {
		return key{keyClaim, text[len("jwt:"):]}, nil
	}
	return key{keyContext, lower}, nil
}

// Env is one request while it is decided. It is not safe for concurrent use.
type Env struct {
	Request   *casemate.AccessRequest // not nil
	Principal *casemate.Principal     // not nil; zero for nobody
	one       [1]string
	scratch   []element
}

// lookup gives the values of k; none means that the key is not in the request. An error means that the request cannot
// say: two tags whose names differ in case only.
func (e *Env) lookup(k key) ([]string, error) {
	p := e.Principal
	switch k.kind {
	case keyContext:
		return e.Request.Context[k.name], nil
	case keyPrincipalARN:
		return e.single(p.ARN), nil
	case keyPrincipalAccount:
		return e.single(p.Account), nil
	case keyPrincipalKind:
		return e.single(string(p.Kind)), nil
	case keyUserID:
		return e.single(p.ID), nil
	case keyScopes:
		return p.Scopes, nil
	case keyResource:
		return e.single(e.Request.Resource), nil
	case keyResourceAccount:
		return e.single(e.Request.Account), nil
	case keyAddress:
		return e.single(address(e.Request.Resource)), nil
	case keyClaim:
		v, ok := p.Claims[k.name]
		return e.present(v, ok), nil
	case keyPrincipalTag:
		return e.tag(k.name)
	}
	// A request without a time has no time keys: a condition on them fails rather than look at the year 1.
	now := e.Request.Now
	if now.IsZero() {
		return nil, nil
	}
	if k.kind == keyEpochTime {
		return e.single(strconv.FormatInt(now.Unix(), 10)), nil
	}
	return e.single(now.UTC().Format(time.RFC3339Nano)), nil
}

// address is the IP address that a resource of the kind host has in place of a name; "" when it has none.
func address(resource string) string {
	a, ok := SplitARN(resource)
	host, is := strings.CutPrefix(a.Tail, "host/")
	at, err := netip.ParseAddrPort(host)
	if !ok || !is || err != nil || a.Head[2] != "casemate" || at.Addr().Zone() != "" {
		return ""
	}
	return at.Addr().Unmap().String()
}

// single treats an empty text as missing: the zero value of a field is not a value.
func (e *Env) single(v string) []string { return e.present(v, v != "") }

// present lends the one-element buffer: its slice is good until the next look-up.
func (e *Env) present(v string, ok bool) []string {
	if !ok {
		return nil
	}
	e.one[0] = v
	return e.one[:]
}

// tag finds a tag without regard to case, as AWS does. Two that differ in case only could be played against each other.
func (e *Env) tag(name string) ([]string, error) {
	var found []string
	for k, v := range e.Principal.Tags {
		if !strings.EqualFold(k, name) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("the principal has two tags %q", name)
		}
		found = e.present(v, true)
	}
	return found, nil
}

// resolve replaces the variables of es by their values, as literals. The result is valid until the next resolve. A
// variable that stays, and the false that goes with it, means that it has no single non-empty value and no fallback.
func (e *Env) resolve(es []element) ([]element, bool) {
	out, resolved := e.scratch[:0], true
	for _, el := range es {
		if el.kind == variable {
			v, ok := e.value(el)
			if ok {
				el = element{text: v}
			}
			resolved = resolved && ok
		}
		out = append(out, el)
	}
	e.scratch = out
	return out, resolved
}

// resolvable is resolve without the result.
func (e *Env) resolvable(es []element) bool {
	for _, el := range es {
		if el.kind == variable {
			if _, ok := e.value(el); !ok {
				return false
			}
		}
	}
	return true
}

// value is what a variable stands for. An empty value would turn home/${jwt:sub}* into everybody's home, so it is none.
func (e *Env) value(el element) (string, bool) {
	vs, err := e.lookup(el.key)
	if err != nil || len(vs) > 1 {
		return "", false
	}
	if len(vs) == 1 && vs[0] != "" {
		return vs[0], true
	}
	return el.text, el.fallback
}
