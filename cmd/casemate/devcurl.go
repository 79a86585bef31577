package main

import (
	"errors"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"casemate"
	"casemate/deploy/manifest"
	"casemate/shield"
	"casemate/shield/sample"
)

// asked is a request that a route is called with, and what is to be said about it.
type asked struct {
	*sample.Request
	notes []string
}

// asks is what to call a route with: what its contract requires.
func (l *loop) asks(r *casemate.Route, m *manifest.Manifest) *asked {
	a := &asked{Request: &sample.Request{}}
	if slices.Contains([]string{"POST", "PUT", "PATCH"}, r.Method) {
		a.ContentType, a.Body = "application/json", []byte("{}")
	}
	var c *manifest.Contract
	if x := m.Routes[r.ID]; x != nil {
		c = x.Contract
	}
	if f := m.Functions[r.Function]; r.URL && f != nil && f.URL != nil {
		c = f.URL.Contract
	}
	if c == nil {
		return a
	}
	made, err := l.sample(c)
	if made != nil {
		a.Request = made
	}
	if err != nil {
		a.notes = append(a.notes, "no sample was found that "+c.File+" takes, change it: "+err.Error())
	}
	return a
}

// sample is a request for a contract, with what the contract says against it.
func (l *loop) sample(c *manifest.Contract) (*sample.Request, error) {
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return nil, errors.New("the folder cannot be read")
	}
	defer root.Close()
	doc, err := root.ReadFile(filepath.FromSlash(c.File))
	if err != nil {
		return nil, errors.New("the file cannot be read")
	}
	made, err := sample.Of(doc, c.Where())
	if err != nil {
		return nil, err
	}
	contract, err := shield.Compile(doc, c.Where(), c.File)
	if err != nil {
		return made, err
	}
	_, err = contract.Check(made.Exchange())
	return made, err
}

// curl is the line that calls a route, and what is to be known about it: what it takes, and what is yours to put in.
func (l *loop) curl(r *casemate.Route, key, urlHost string, m *manifest.Manifest) (line, note string) {
	a := l.asks(r, m)
	words, query := a.credential(r, key)
	words = append([]string{"curl"}, words...)
	host, path := r.Host, filled(r.Path, a.Params)
	if r.URL {
		host, path = urlHost, "/"
	}
	if host != "" {
		words = append(words, "-H "+shell("Host: "+host))
	}
	switch {
	case r.Method == "POST" && a.Body != nil, r.Method == "GET", r.Method == "ANY":
	default:
		words = append(words, "-X "+r.Method)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		words = append(words, "-H "+shell(name+": "+a.Header[name]))
	}
	if a.Body != nil {
		words = append(words, "-H "+shell("content-type: "+a.ContentType), "-d "+shell(string(a.Body)))
	}
	at := l.address.HTTP[0] + path
	if q := strings.Trim(a.Query.Encode()+"&"+query, "&"); q != "" {
		at += "?" + q
	}
	if strings.Contains(at, "$") { // of a credential, for the shell
		at = `"` + at + `"`
	} else {
		at = shell(at)
	}
	return strings.Join(append(words, at), " "), strings.Join(a.notes, "; ")
}

// credential is how curl proves who calls: by the session's key where the route takes keys; elsewhere what is to be put in is
// noted. query is a credential that stands there.
func (a *asked) credential(r *casemate.Route, key string) (words []string, query string) {
	kinds := r.Auth.Kinds
	note := func(text string) { a.notes = append([]string{"takes " + takes(&r.Auth) + ": " + text}, a.notes...) }
	switch {
	case slices.Contains(kinds, casemate.CredentialKey):
		return []string{"-H x-api-key:" + key}, ""
	case r.Auth.Open != nil || len(kinds) == 0:
		return nil, ""
	case slices.Contains(kinds, casemate.CredentialBearer):
		note("put a token of its issuer into TOKEN")
		return []string{`-H "authorization: Bearer $TOKEN"`}, ""
	case slices.Contains(kinds, casemate.CredentialAccess):
		note("casemate access create makes the credentials")
		service := "execute-api"
		if r.URL {
			service = "lambda"
		}
		return []string{`--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" --aws-sigv4 aws:amz:us-east-1:` + service}, ""
	case r.Auth.Authorizer != nil:
		note("put what function " + r.Auth.Authorizer.Function + " takes into TOKEN")
		for _, s := range r.Auth.Authorizer.Identity {
			switch {
			case s.In == "query":
				query += "&" + url.QueryEscape(s.Name) + "=$TOKEN"
			case strings.HasPrefix(strings.TrimPrefix(r.Auth.Authorizer.Validate, "^"), "Bearer "):
				words = append(words, `-H "`+s.Name+`: Bearer $TOKEN"`)
			default:
				words = append(words, `-H "`+s.Name+`: $TOKEN"`)
			}
		}
		return words, query
	case r.Auth.Webhook != nil:
		note("its sender signs the body, by " + r.Auth.Webhook.Scheme + "; casemate senders says which secret it needs")
	default:
		note("the line is without it")
	}
	return nil, ""
}

var pathParam = regexp.MustCompile(`\{([^{}]*?)\+?\}`)

// filled is a path with its parameters as params have them, or with their names.
func filled(path string, params map[string]string) string {
	return pathParam.ReplaceAllStringFunc(path, func(s string) string {
		name := strings.TrimSuffix(s[1:len(s)-1], "+")
		if v := params[name]; v != "" {
			return url.PathEscape(v)
		}
		return url.PathEscape(name)
	})
}

// event is what a function is invoked with: what its contract requires, the event.json of an app with one function, or {}.
func (l *loop) event(name string, m *manifest.Manifest) string {
	if f := m.Functions[name]; f != nil && f.Contract != nil {
		if made, err := l.sample(f.Contract); err == nil {
			return shell(string(made.Body))
		}
	}
	file := filepath.Join(l.dir, "event.json")
	if info, err := os.Stat(file); len(m.Functions) == 1 && err == nil && info.Mode().IsRegular() {
		return shell("@" + file)
	}
	return "'{}'"
}

var harmless = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// shell is s as one word of a shell.
func shell(s string) string {
	if harmless.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
