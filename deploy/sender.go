package deploy

import (
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/catalog"
	"casemate/deploy/bundle"
	"casemate/deploy/manifest"
)

// authOf is what a route or function URL asks of its callers; r is nil for a URL. The sender or authorizer that it names
// goes into the route itself: whoever has the route has all that its callers are held against.
func authOf(b *bundle.Contents, a manifest.RouteAuth, r *manifest.Route) casemate.Auth {
	m := b.Manifest
	out := casemate.Auth{Open: a.None}
	if r != nil && len(r.Scopes)+len(r.Audience) > 0 {
		out.Token = &casemate.TokenRule{Audience: r.Audience, Scopes: r.Scopes}
	}
	for _, k := range a.Kinds {
		what, name, _ := manifest.Sender(k)
		switch what {
		case "key":
			out.Kinds = append(out.Kinds, casemate.CredentialKey)
		case "jwt":
			out.Kinds = append(out.Kinds, casemate.CredentialBearer)
		case "sigv4", "AWS_IAM":
			if !slices.Contains(out.Kinds, casemate.CredentialAccess) {
				out.Kinds = append(out.Kinds, casemate.CredentialAccess)
			}
		case "webhook":
			out.Kinds, out.Webhook = append(out.Kinds, casemate.CredentialWebhook), webhook(m, name)
		case "certificate":
			out.Kinds, out.Certificate = append(out.Kinds, casemate.CredentialCertificate), certificate(b, name)
		case "authorizer":
			out.Kinds, out.Authorizer = append(out.Kinds, casemate.CredentialAuthorizer), authorizer(m, name)
		}
	}
	return out
}

// tolerance is how far a signed time may be from now: five minutes, as every named scheme has it.
const tolerance = 5 * time.Minute

func webhook(m *manifest.Manifest, name string) *casemate.Webhook {
	w := m.Webhooks[name]
	x := &casemate.Webhook{App: m.App, Name: name, Scheme: w.Scheme, Role: w.Role, Tolerance: tolerance}
	fill(&x.Tolerance, time.Duration(w.Tolerance))
	for _, s := range w.Secret {
		x.Secrets = append(x.Secrets, strings.TrimPrefix(s, "secret/"))
	}
	if w.Scheme == "hmac" {
		x.HMAC = &casemate.HMACScheme{Header: w.Header, Prefix: w.Prefix, Encoding: "hex", Algorithm: "sha256", Timestamp: w.Timestamp, Signed: "{body}"}
		if w.Timestamp != "" {
			x.HMAC.Signed = "{timestamp}.{body}"
		}
		fill(&x.HMAC.Encoding, w.Encoding)
		fill(&x.HMAC.Algorithm, w.Algorithm)
		fill(&x.HMAC.Signed, w.Signed)
	}
	return x
}

// hookSecrets refuses webhooks whose secrets belong to another environment than the app, which is known by now.
func hookSecrets(a *catalog.App, m *manifest.Manifest, found *manifest.Problems) {
	for _, name := range slices.Sorted(maps.Keys(m.Webhooks)) {
		for _, s := range m.Webhooks[name].Secret {
			ptr := "/webhooks/" + manifest.Escape(name) + "/secret"
			if env, _ := manifest.OwnSecret(m.App, s); env != a.Environment {
				found.Add(m.At(ptr), ptr, "name it secret/"+path.Join(a.Environment, m.App)+"/...", "%s is not of this app's environment", s)
			}
		}
	}
}

func authorizer(m *manifest.Manifest, name string) *casemate.Authorizer {
	a := m.Authorizers[name]
	x := &casemate.Authorizer{App: m.App, Name: name, Function: a.Function, Type: "request", Format: "1.0", Role: a.Role, Validate: a.Validate}
	fill(&x.Type, a.Type)
	fill(&x.Format, a.Format)
	x.TTL, _ = a.Life() // checked with the manifest; what does not parse is not remembered
	for _, s := range a.Identity {
		in, of, _ := strings.Cut(s, " ")
		x.Identity = append(x.Identity, casemate.IdentitySource{In: in, Name: of})
	}
	if len(x.Identity) == 0 {
		x.Identity = []casemate.IdentitySource{{In: "header", Name: "authorization"}}
	}
	return x
}

// ActionAuthorize is what asking a Lambda authorizer is to the policy: an act of its own on the function, which the node
// is allowed for the authorizer's sake and nobody needs a grant for.
const ActionAuthorize = "casemate:Authorize"

// askers adds the roles that authorizers are asked with: each may ask its one function.
func askers(a *catalog.App, m *manifest.Manifest, place casemate.Place) {
	for name, x := range m.Authorizers {
		if a.Functions[x.Function] == nil {
			continue // left out
		}
		a.Roles[(&casemate.Authorizer{App: m.App, Name: name}).ID()] = catalog.Role{Statements: []casemate.Statement{{Effect: casemate.Allow,
			Action: []string{ActionAuthorize}, Resource: []string{place.FunctionARN(x.Function)}, Origin: m.Origin(m.At("/authorizers/"+manifest.Escape(name)), "authorizer "+name)}}}
	}
}
