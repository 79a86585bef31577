package manifest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"casemate"
)

// Webhook is a sender of signed requests. A route takes it as "webhook:<name>".
type Webhook struct {
	Scheme    string    `key:"scheme" need:"" one:"standard-webhooks github stripe slack hmac" doc:"How the sender signs. hmac is for senders with a way of their own: give header, and what else they do."`
	Secret    OneOrMore `key:"secret" need:"" doc:"The secret shared with the sender, of this app: secret/<app>/hook. Several are each tried, while one is rotated."`
	Role      string    `key:"role" need:"" doc:"Role of what the sender asks for."`
	Tolerance Duration  `key:"tolerance" min:"1s" max:"1h" doc:"How far a signed time may be from now (default 5m)."`
	Header    string    `key:"header" like:"^[a-z0-9-]{1,64}$" doc:"hmac: the header with the signature, in lower case."`
	Prefix    string    `key:"prefix" like:"^[!-~]{1,32}$" doc:"hmac: what stands before the signature in its header: \"sha256=\"."`
	Encoding  string    `key:"encoding" one:"hex base64" doc:"hmac: how the signature is written (default hex)."`
	Algorithm string    `key:"algorithm" one:"sha256 sha384 sha512" doc:"hmac: the hash (default sha256)."`
	Timestamp string    `key:"timestamp" like:"^[a-z0-9-]{1,64}$" doc:"hmac: the header with the time, in seconds since 1970 (default none: nothing bounds how late a request may come)."`
	Signed    string    `key:"signed" like:"^[!-~]{6,128}$" doc:"hmac: what is signed: \"{body}\" or \"{timestamp}.{body}\" (default the former, the latter with a timestamp)."`
}

// Authorizer is a function that says who a caller is. A route takes it as "authorizer:<name>".
type Authorizer struct {
	Function string   `key:"function" need:"" doc:"Name of the function, of this app."`
	Type     string   `key:"type" one:"request token" doc:"request: it gets the request (default). token: it gets one header."`
	Format   string   `key:"format" one:"1.0 2.0" doc:"Payload format, as API Gateway has it: 1.0 answers with an IAM policy (default), 2.0 may answer isAuthorized."`
	Identity []string `key:"identity" like:"^(header [a-z0-9-]{1,64}|query [^\\s]{1,64})$" doc:"What must be there for the function to be asked, and what its answer is remembered by: header authorization (default), query tenant."`
	Validate string   `key:"validate" like:"^.{1,256}$" doc:"token: expression that the header must match, or nobody is asked: \"^Bearer [A-Za-z0-9._-]{20,}$\" (API Gateway's identityValidationExpression)."`
	TTL      string   `key:"ttl" like:"^(none|[1-9][0-9]*[smh])$" doc:"How long an answer is remembered, at most 1h (default 300s); none: it is asked every time."`
	Role     string   `key:"role" need:"" doc:"Role of whom it names. Its answer can only take away from what the role may."`
}

// secretLike is a secret by its short name, as a grant has it; credentials is the tag of an item of a route's auth list.
const (
	secretLike  = `^secret/[A-Za-z0-9/_+=.@-]{1,512}$`
	kindLike    = `^(key|jwt|sigv4|AWS_IAM|(webhook|authorizer|certificate):[a-z][a-z0-9-]{0,62})$`
	credentials = `like:"` + kindLike + `" doc:"key, jwt, sigv4 (also AWS_IAM), webhook:<name>, authorizer:<name> or certificate:<name>"`
	issuerLike  = `^(https://|http://(127\.0\.0\.1|\[::1\]|localhost)([:/]|$))[^\s?#]*$`
)

// OneOrMore is a text or a list of texts.
type OneOrMore []string

// decode takes both forms. What is no reference may be a secret itself, so it is not said back.
func (l *OneOrMore) decode(d *decoder, n *yaml.Node, ptr string) {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	if len(list) == 0 || len(list) > 8 {
		d.found.Add(mark(n), ptr, "", "one to eight are wanted here")
	}
	for _, c := range list {
		if c.Kind != yaml.ScalarNode || c.ShortTag() != "!!str" || !matches(secretLike, c.Value) {
			d.found.Add(mark(c), ptr, "write it as secret/<app>/<name>, and give the value to casemate secret set", "the name of a secret is wanted here")
			continue
		}
		*l = append(*l, c.Value)
	}
}

// Sender names the webhook or authorizer that a credential of a route's auth list stands for.
func Sender(kind string) (what, name string, ok bool) { return strings.Cut(kind, ":") }

// MaxTTL is how long an authorizer's answer is remembered at most, as on API Gateway.
const MaxTTL = time.Hour

// senders checks webhooks and authorizers, and that what a sender's secret is called belongs to this app.
func (c *checker) senders() {
	taken := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Webhooks)) {
		w, ptr := c.Webhooks[name], "/webhooks/"+Escape(name)
		c.roleOf(ptr, w.Role)
		for i, s := range w.Secret {
			if _, own := OwnSecret(c.App, s); !own {
				c.bad(ptr+"/secret", "name it secret/"+c.App+"/...", "%s is not a secret of this app", s)
			} else if slices.Index(w.Secret, s) < i {
				c.bad(ptr+"/secret", "", "%s stands here twice", s)
			}
			if other := taken[s]; other != "" && other != name {
				c.warn(ptr+"/secret", "give each a secret of its own", "webhook %s has the same secret: what is signed for one is signed for both", other)
			}
			taken[s] = name
		}
		c.scheme(ptr, w)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Authorizers)) {
		a, ptr := c.Authorizers[name], "/authorizers/"+Escape(name)
		c.roleOf(ptr, a.Role)
		if c.Functions[a.Function] == nil && a.Function != "" {
			c.bad(ptr+"/function", meant(a.Function, slices.Sorted(maps.Keys(c.Functions))), "there is no function %q in this app", a.Function)
		}
		if a.Type == "token" && (len(a.Identity) > 1 || len(a.Identity) == 1 && !strings.HasPrefix(a.Identity[0], "header ")) {
			c.bad(ptr+"/identity", "identity: [header authorization]", "an authorizer of type token has one header")
		}
		if _, err := regexp.Compile(a.Validate); err != nil {
			c.bad(ptr+"/validate", "RE2 syntax: no look-around, no back-references", "%s", err)
		} else if a.Validate != "" && a.Type != "token" {
			c.bad(ptr+"/validate", "type: token", "an expression is for the one header of type token")
		}
		if a.Type == "token" && a.Format == "2.0" {
			c.bad(ptr+"/format", "format: \"1.0\", or type: request", "type token has one format")
		}
		for i, s := range a.Identity {
			if slices.Index(a.Identity, s) < i {
				c.bad(ptr+"/identity", "", "%s stands here twice", s)
			}
		}
		if _, err := a.Life(); err != nil {
			c.bad(ptr+"/ttl", casemate.AsError(err).Hint, "%s", err)
		}
	}
}

// OwnSecret reports whether "secret/<app>/..." or "secret/<environment>/<app>/..." names a secret of the app, and of which
// environment ("": none).
func OwnSecret(app, ref string) (environment string, own bool) {
	name, is := strings.CutPrefix(ref, "secret/")
	if rest, ok := strings.CutPrefix(name, app); is && ok && rest != "" && strings.ContainsRune("/._-", rune(rest[0])) {
		return "", true
	}
	environment, name, _ = strings.Cut(name, "/")
	rest, ok := strings.CutPrefix(name, app)
	return environment, is && ok && rest != "" && strings.ContainsRune("/._-", rune(rest[0])) && matches("^[a-z][a-z0-9]{0,31}$", environment)
}

// Life is the TTL as a duration; 0: nothing is remembered.
func (a *Authorizer) Life() (time.Duration, error) {
	switch a.TTL {
	case "":
		return 300 * time.Second, nil
	case "none":
		return 0, nil
	}
	d, err := time.ParseDuration(a.TTL)
	if err != nil || d <= 0 || d > MaxTTL {
		return 0, casemate.Errorf(casemate.Invalid, `write it as "300s", at most 1h, or none`, "%q is no time to remember an answer", a.TTL)
	}
	return d, nil
}

// scheme checks that the keys of a scheme of one's own stand where it is one, and that a time that is told is signed.
func (c *checker) scheme(ptr string, w *Webhook) {
	if w.Scheme != "hmac" {
		for key, said := range map[string]string{"header": w.Header, "prefix": w.Prefix, "encoding": w.Encoding, "algorithm": w.Algorithm, "timestamp": w.Timestamp, "signed": w.Signed} {
			if said != "" && w.Scheme != "" {
				c.bad(ptr+"/"+key, "scheme: hmac", "the scheme %s has its own %s", w.Scheme, key)
			}
		}
		return
	}
	if w.Header == "" {
		c.bad(ptr, "header: x-signature", "the scheme hmac needs the header that the signature is in")
	}
	if w.Signed == "" {
		return
	}
	if strings.Count(w.Signed, "{body}") != 1 || strings.Count(w.Signed, "{timestamp}") > 1 {
		c.bad(ptr+"/signed", `"{body}" or "{timestamp}.{body}"`, "what is signed must hold {body} once")
	}
	if timed := strings.Contains(w.Signed, "{timestamp}"); timed != (w.Timestamp != "") {
		c.bad(ptr+"/signed", `timestamp: x-timestamp with signed: "{timestamp}.{body}"`, "a time counts when it is signed and its header is named, both")
	}
}

func (c *checker) roleOf(ptr, role string) {
	if role != "" && c.Roles[role] == nil {
		c.bad(ptr+"/role", meant(role, slices.Sorted(maps.Keys(c.Roles))), "there is no role %q in this app", role)
	}
}

// takes checks one credential of an auth list that names a webhook or an authorizer. url says that it is a function URL's.
func (c *checker) takes(ptr string, all []string, kind string, url bool) {
	what, name, named := Sender(kind)
	if !named {
		return
	}
	for _, o := range all {
		if other, _, _ := Sender(o); other == what && o != kind {
			c.bad(ptr, "give each a route of its own", "one %s a route, please", what)
			return
		}
	}
	switch {
	case what == "webhook" && c.Webhooks[name] == nil:
		c.bad(ptr, meant(name, slices.Sorted(maps.Keys(c.Webhooks))), "there is no webhook %q in this app", name)
	case what == "certificate" && c.Certificates[name] == nil:
		c.bad(ptr, meant(name, slices.Sorted(maps.Keys(c.Certificates))), "there is no certificate rule %q in this app", name)
	case what == "authorizer" && c.Authorizers[name] == nil:
		c.bad(ptr, meant(name, slices.Sorted(maps.Keys(c.Authorizers))), "there is no authorizer %q in this app", name)
	case what == "authorizer" && url:
		c.bad(ptr, "make it a route", "a function URL has no authorizer")
	}
}

// scopeLike is a scope (RFC 6749 section 3.3), or several of which one is enough.
var scopeLike = regexp.MustCompile(`^[!#-\[\]-~]{1,128}( or [!#-\[\]-~]{1,128})*$`)

func (c *checker) scopes(ptr string, list []string) {
	for i, s := range list {
		if !scopeLike.MatchString(s) {
			c.bad(fmt.Sprintf("%s/%d", ptr, i), `orders:write, or "orders:write or orders:admin"`, "%q is no scope", s)
		}
	}
}

// tokens checks what a route asks of tokens: it must take some.
func (c *checker) tokens(ptr string, r *Route) {
	c.scopes(ptr+"/scopes", r.Scopes)
	for key, list := range map[string][]string{"scopes": r.Scopes, "audience": r.Audience} {
		if len(list) > 0 && !slices.Contains(r.Auth.Kinds, "jwt") {
			c.bad(ptr+"/"+key, "auth: [jwt]", "only tokens have %s, and this route takes none", key)
		}
	}
}
