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
	keyAddress        // of a host that is an IP address, not a name
	keyPath           // name: the parameter of the route, exact case
	keyUserName       // of a user with an ARN of its own; roles and functions have none
	keySourceIdentity // of a session
	keyIssued         // when a session was assumed
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
	case "aws:sourceidentity":
		return key{kind: keySourceIdentity}, nil
	case "aws:tokenissuetime":
		return key{kind: keyIssued}, nil
	case "aws:username":
		return key{kind: keyUserName}, nil
	}
	if name, ok := strings.CutPrefix(lower, "aws:principaltag/"); ok {
		return key{keyPrincipalTag, name}, nil
	}
	if strings.HasPrefix(lower, "jwt:") {
		return key{keyClaim, text[len("jwt:"):]}, nil
	}
	if strings.HasPrefix(lower, "path:") {
		return key{keyPath, text[len("path:"):]}, nil
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
	case keyPath:
		v, ok := e.Request.Params[k.name]
		return e.present(v, ok), nil
	case keySourceIdentity:
		return e.single(p.SourceIdentity), nil
	case keyIssued:
		if p.Issued.IsZero() {
			return nil, nil
		}
		return e.single(p.Issued.UTC().Format(time.RFC3339)), nil
	case keyUserName:
		return e.single(userName(p.ARN)), nil
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

// userName is the last part of a user's ARN, as aws:username has it; "" for everybody else.
func userName(arn string) string {
	a, ok := SplitARN(arn)
	path, is := strings.CutPrefix(a.Tail, "user/")
	if !ok || !is || a.Head[2] != "iam" {
		return ""
	}
	return path[strings.LastIndexByte(path, '/')+1:]
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

// where a variable stands says what its value may be there.
type where uint8

const (
	inText where = iota // of a condition: any text
	inName              // the last part of an ARN: a value with a slash would reach into what is below another name
	inPath              // the path in an ARN of execute-api: a value is one segment, spelled as paths are
)

// resolve replaces the variables of es by their values, as literals. The result is valid until the next resolve. A
// variable that stays, and the false that goes with it, means that it has no single non-empty value and no fallback.
func (e *Env) resolve(es []element, at where) ([]element, bool) {
	out, resolved := e.scratch[:0], true
	for _, el := range es {
		if el.kind == variable {
			v, ok := e.value(el, at)
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
func (e *Env) resolvable(es []element, at where) bool {
	for _, el := range es {
		if el.kind == variable {
			if _, ok := e.value(el, at); !ok {
				return false
			}
		}
	}
	return true
}

// value is what a variable stands for. An empty value would turn home/${jwt:sub}* into everybody's home, so it is none;
// so is one that does not fit where it stands.
func (e *Env) value(el element, at where) (string, bool) {
	vs, err := e.lookup(el.key)
	if err != nil || len(vs) > 1 {
		return "", false
	}
	v, ok := el.text, el.fallback
	if len(vs) == 1 && vs[0] != "" {
		v, ok = vs[0], true
	}
	switch {
	case at == inName && strings.IndexByte(v, '/') >= 0:
		return "", false
	case at == inPath:
		return segment(v), ok
	}
	return v, ok
}

// segment spells v as one segment of a path in the canonical form of package route: what RFC 3986 lets stand in a segment
// (pchar) stands there, all else is escaped. So a value never begins a segment of its own, and every spelling of a request
// is the same.
func segment(v string) string {
	plain := true
	for i := 0; i < len(v); i++ {
		plain = plain && isSegmentByte(v[i])
	}
	if plain {
		return v
	}
	b := make([]byte, 0, 3*len(v))
	for i := 0; i < len(v); i++ {
		if c := v[i]; isSegmentByte(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		}
	}
	return string(b)
}

func isSegmentByte(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0
}
