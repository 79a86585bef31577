package gate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"casemate"
)

// tenantLimit is the most bytes of a tenant's key, as on AWS Lambda
// (https://docs.aws.amazon.com/lambda/latest/dg/tenant-isolation.html).
const tenantLimit = 256

// tenancy says whose event this is, under isolation tenant: the key as the function may see it, and the partition that
// sandboxes are kept apart by. Whoever shares one is who the version's rule says, and nobody can choose to be somebody
// else: a claim belongs to its issuer, and what the caller wrote itself (a header, a field) only divides what is its own.
// An anonymous caller shares with nobody. No key where there should be one is a refusal.
func tenancy(e *casemate.Event, m *casemate.Match, p *casemate.Principal, payload []byte) (key, partition string, err error) {
	v := m.Version
	if v == nil || v.Isolation != casemate.IsolationTenant {
		return e.Tenant, "", nil
	}
	owner := "caller\x00" + p.ID
	if !p.Known() {
		owner = "event\x00" + e.ID
	}
	rule, where, _ := strings.Cut(v.Tenant, ":")
	switch rule {
	case "":
		key = e.Tenant // none: the caller is the tenant
	case "header":
		if key, err = header(e, where); err != nil {
			return "", "", err
		}
	case "claim":
		if p.Kind != casemate.KindToken || p.Claims[where] == "" {
			return "", "", noTenant("claim "+where, "call a route that takes jwt, with a token that has it; an operator's invoke has no claims")
		}
		issuer, _, _ := strings.Cut(p.ID, "|")
		owner, key = "issuer\x00"+issuer, p.Claims[where]
	case "event":
		if key = field(payload, where); key == "" {
			return "", "", noTenant("event field "+where, "send it as a text or a number")
		}
	default: // a rule of a later release, or a damaged one
		return "", "", casemate.Errorf(casemate.Fault, "deploy the function again", "the tenant rule %q is not known", rule)
	}
	if key != "" && !isTenant(key) {
		return "", "", &casemate.Error{Code: casemate.Invalid, Field: "tenant", Message: "the tenant's key is too long or holds control characters",
			Hint: "send at most 256 bytes of printable text"}
	}
	sum := sha256.Sum256([]byte(rule + "\x00" + owner + "\x00" + key))
	return key, hex.EncodeToString(sum[:]), nil
}

// header reads a tenant's key from where the front heard it. An event without headers has it in Tenant: the Lambda API's
// way, and where an accepted event keeps it.
func header(e *casemate.Event, name string) (string, error) {
	if e.Header == nil {
		if e.Tenant == "" {
			return "", noTenant("tenant id", "give it with the call: casemate invoke --tenant, X-Amz-Tenant-Id of the Lambda API")
		}
		return e.Tenant, nil
	}
	switch values := e.Header(name); {
	case len(values) > 1:
		return "", &casemate.Error{Code: casemate.Invalid, Field: name, Message: "the header was sent twice", Hint: "send it once"}
	case len(values) == 0 || values[0] == "":
		return "", noTenant("header "+name, "send it")
	default:
		return values[0], nil
	}
}

func noTenant(what, hint string) error {
	return &casemate.Error{Code: casemate.Invalid, Field: "tenant", Message: "the function keeps tenants apart, and the " + what + " is missing", Hint: hint}
}

func isTenant(key string) bool {
	return len(key) <= tenantLimit && utf8.ValidString(key) && !strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// field reads the text or number at a JSON pointer (RFC 6901); anything else is "".
func field(payload []byte, pointer string) string {
	at := json.RawMessage(payload)
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		var object map[string]json.RawMessage
		var list []json.RawMessage
		switch {
		case json.Unmarshal(at, &object) == nil && object != nil:
			at = object[token]
		case json.Unmarshal(at, &list) == nil:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(list) || strconv.Itoa(i) != token {
				return ""
			}
			at = list[i]
		default:
			return ""
		}
	}
	var text string
	if json.Unmarshal(at, &text) == nil {
		return text
	}
	var number json.Number
	if json.Unmarshal(at, &number) == nil {
		return number.String()
	}
	return ""
}
