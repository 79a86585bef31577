package control

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/catalog"
)

// OpenAction is what its maker has to be allowed on the function, beside lambda:CreateFunctionUrlConfig, before a URL takes anonymous
// callers: with an AuthType of NONE it is an exception, and an exception has somebody who answers for it.
const OpenAction = "casemate:OpenURL"

// openFor is how long such an exception lasts. Each change of the URL's configuration by who may open it begins it anew.
const openFor = 365*24*time.Hour - time.Hour

// Lambda's words for function URLs (https://docs.aws.amazon.com/lambda/latest/api/API_FunctionUrlConfig.html).
const (
	urlNone     = "NONE"
	urlIAM      = "AWS_IAM"
	urlBuffered = "BUFFERED"
	urlStreamed = "RESPONSE_STREAM"
	noResource  = "The resource you requested does not exist."
)

// urls are the operations on function URLs.
func (d *desk) urls() []casemate.Operation {
	return []casemate.Operation{
		onFunction(d, "CreateFunctionUrlConfig", askBody, d.createURL),
		onFunction(d, "GetFunctionUrlConfig", askBody, d.getURL),
		onFunction(d, "UpdateFunctionUrlConfig", askBody, d.updateURL),
		onFunction(d, "ListFunctionUrlConfigs", askBody, d.listURLs),
		onFunction(d, "DeleteFunctionUrlConfig", askBody, d.deleteURL),
	}
}

type urlIn struct {
	target
	AuthType, InvokeMode string
	Cors                 json.RawMessage
	Marker               string
	MaxItems             int
}

type cors struct {
	AllowCredentials                                        bool
	AllowHeaders, AllowMethods, AllowOrigins, ExposeHeaders []string
	MaxAge                                                  int
}

type urlOut struct {
	FunctionUrl, FunctionArn, AuthType string
	Cors                               json.RawMessage `json:",omitempty"`
	CreationTime, LastModifiedTime     string
	InvokeMode                         string
}

// browser is what a URL tells browsers, from what Lambda was told: preflights are answered as it says, and methods or headers that
// it leaves out are none.
func (in *urlIn) browser() (*casemate.Browser, error) {
	if len(in.Cors) == 0 || bytes.Equal(in.Cors, []byte("{}")) {
		return nil, nil
	}
	var c cors
	if err := json.Unmarshal(in.Cors, &c); err != nil {
		return nil, parameter("the Cors configuration is malformed")
	}
	if len(c.AllowOrigins) == 0 {
		return nil, parameter("AllowOrigins is missing: without it no page of another origin reads an answer, and the rest of Cors says nothing.")
	}
	x := &casemate.CORS{Origins: c.AllowOrigins, Methods: c.AllowMethods, Credentials: c.AllowCredentials, MaxAge: time.Duration(c.MaxAge) * time.Second}
	if len(x.Methods) == 0 {
		x.Methods = []string{"GET", "HEAD", "POST"} // what browsers send without asking first
	}
	x.Headers, x.Expose = lower(c.AllowHeaders), lower(c.ExposeHeaders)
	return &casemate.Browser{CORS: x}, nil
}

func lower(names []string) (out []string) {
	for _, n := range names {
		out = append(out, strings.ToLower(n))
	}
	return out
}

// authorize asks whether the caller may make what the request says, before anything is changed.
func (d *desk) authorize(l *casemate.Launch, in *urlIn, auth string) error {
	if auth != urlNone {
		return nil
	}
	arn := d.Place.FunctionARN(in.name)
	if v := d.Judge(l, OpenAction, arn); v.Verdict != casemate.Allowed {
		return &casemate.Error{Code: casemate.Forbidden, AWS: codeDenied, Rule: v.Statement, Hint: v.Hint,
			Message: "User: " + l.Principal.Name() + " is not authorized to perform: " + OpenAction + " on resource: " + arn + ". A function URL with AuthType NONE takes callers that nobody knows"}
	}
	return nil
}

// auth is what a URL takes, in our terms.
func (d *desk) auth(l *casemate.Launch, kind string, now time.Time) casemate.Auth {
	if kind == urlNone {
		return casemate.Auth{Open: &casemate.Exception{Reason: "AuthType NONE of a function URL, made through Lambda's API by " + l.Principal.Name(), Expires: now.Add(openFor)}}
	}
	return casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialAccess}}
}

// at is the place of the function's URL among the app's routes; -1: it has none.
func (t *target) at(a *catalog.App) int {
	return slices.IndexFunc(a.Routes, func(r casemate.Route) bool { return r.URL && r.Function == t.name && r.Alias() == t.key() })
}

// route is the function that a request names, and the route of its URL.
func (d *desk) route(in *urlIn) (*catalog.Function, *casemate.Route, error) {
	f, app, _, err := d.find(&in.target)
	if err != nil {
		return nil, nil, err
	}
	a, _ := d.Apps.Snapshot().App(app)
	i := in.at(a)
	if i < 0 {
		return nil, nil, failure(casemate.NotFound, codeMissing, noResource)
	}
	return f, &a.Routes[i], nil
}

// createURL is CreateFunctionUrlConfig.
func (d *desk) createURL(ctx context.Context, l *casemate.Launch, in *urlIn) (any, error) {
	_, _, v, err := d.find(&in.target)
	if err != nil {
		return nil, err
	}
	if err := d.authorize(l, in, in.AuthType); err != nil {
		return nil, err
	}
	now := d.Clock()
	b, err := in.browser()
	if err != nil {
		return nil, err
	}
	err = d.change(ctx, l, &in.target, func(a *catalog.App, f *catalog.Function) error {
		if in.at(a) >= 0 {
			return conflict("FunctionUrlConfig exists for this Lambda function")
		}
		a.Routes = append(a.Routes, casemate.Route{ID: "$default", App: a.Name, Host: catalog.URLID(catalog.Qualify(v.ARN, in.key())), Method: "ANY", Path: "$default", Function: in.name,
			Auth: d.auth(l, in.AuthType, now), URL: true, Managed: &casemate.ManagedURL{Qualifier: in.key()}, Response: streamed(in.InvokeMode), Browser: b})
		f.Manage().Keeps().URLs[in.key()] = &catalog.URL{Created: now, Modified: now, Cors: in.Cors}
		return nil
	})
	if err != nil {
		return nil, err
	}
	d.aloud(in, in.AuthType)
	return d.getURL(ctx, l, in)
}

// aloud tells the node's log that somebody opened a URL to everybody.
func (d *desk) aloud(in *urlIn, auth string) {
	if auth == urlNone && d.Aloud != nil {
		d.Aloud("the URL of function "+in.name+" takes anonymous callers", openFor)
	}
}

func streamed(mode string) string {
	if mode == urlStreamed {
		return casemate.ResponseStream
	}
	return ""
}

// updateURL is UpdateFunctionUrlConfig: what the request does not name stays.
func (d *desk) updateURL(ctx context.Context, l *casemate.Launch, in *urlIn) (any, error) {
	_, r, err := d.route(in)
	if err != nil {
		return nil, err
	}
	auth := cmp.Or(in.AuthType, r.URLAuth())
	if err := d.authorize(l, in, auth); err != nil {
		return nil, err
	}
	b, err := in.browser()
	if err != nil {
		return nil, err
	}
	now := d.Clock()
	err = d.change(ctx, l, &in.target, func(a *catalog.App, f *catalog.Function) error {
		i := in.at(a)
		if i < 0 {
			return failure(casemate.NotFound, codeMissing, noResource)
		}
		r := a.Routes[i]
		if in.AuthType != "" || r.ByAPI() {
			r.Auth = d.auth(l, auth, now)
			r.Managed = &casemate.ManagedURL{Qualifier: in.key()}
		}
		if in.InvokeMode != "" {
			r.Response = streamed(in.InvokeMode)
		}
		kept := f.Manage().Keeps().URLs
		u := catalog.URL{Created: now}
		if kept[in.key()] != nil {
			u = *kept[in.key()]
		}
		if u.Modified = now; len(in.Cors) > 0 {
			r.Browser, u.Cors = b, in.Cors
		}
		kept[in.key()], a.Routes[i] = &u, r
		return nil
	})
	if err != nil {
		return nil, err
	}
	d.aloud(in, in.AuthType)
	return d.getURL(ctx, l, in)
}

// describeURL is a URL as Lambda tells of it. One that a manifest made has the times of its version.
func (d *desk) describeURL(f *catalog.Function, r *casemate.Route) *urlOut {
	v := f.Latest()
	u := &catalog.URL{Created: v.Created, Modified: v.Created}
	if s := f.Manages().Standing; s != nil && s.URLs[r.Alias()] != nil {
		u = s.URLs[r.Alias()]
	}
	out := &urlOut{FunctionUrl: d.URL(r.Host), FunctionArn: catalog.Qualify(v.ARN, r.Alias()), AuthType: r.URLAuth(), Cors: u.Cors, CreationTime: urlTime(u.Created),
		LastModifiedTime: urlTime(u.Modified), InvokeMode: urlBuffered}
	if out.AuthType == "" {
		out.AuthType = urlIAM // Lambda has no word for keys and tokens; it is not open
	}
	if r.Response == casemate.ResponseStream {
		out.InvokeMode = urlStreamed
	}
	return out
}

func urlTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// getURL is GetFunctionUrlConfig.
func (d *desk) getURL(_ context.Context, _ *casemate.Launch, in *urlIn) (any, error) {
	f, r, err := d.route(in)
	if err != nil {
		return nil, err
	}
	return d.describeURL(f, r), nil
}

// listURLs is ListFunctionUrlConfigs: a function has a few, by the qualifiers that they lead to.
func (d *desk) listURLs(_ context.Context, _ *casemate.Launch, in *urlIn) (any, error) {
	f, app, _, err := d.find(&in.target)
	if err != nil {
		return nil, err
	}
	p, after, err := begin[*urlOut](in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	a, _ := d.Apps.Snapshot().App(app)
	var all []*urlOut
	for i := range a.Routes {
		if r := &a.Routes[i]; r.URL && r.Function == in.name {
			all = append(all, d.describeURL(f, r))
		}
	}
	slices.SortFunc(all, func(x, y *urlOut) int { return strings.Compare(x.FunctionArn, y.FunctionArn) })
	for _, u := range all {
		if u.FunctionArn > after && !p.add(u.FunctionArn, u) {
			break
		}
	}
	return struct {
		FunctionUrlConfigs []*urlOut
		NextMarker         string `json:",omitempty"`
	}{p.items, p.next}, nil
}

// deleteURL is DeleteFunctionUrlConfig.
func (d *desk) deleteURL(ctx context.Context, l *casemate.Launch, in *urlIn) (any, error) {
	return nil, d.change(ctx, l, &in.target, func(a *catalog.App, f *catalog.Function) error {
		i := in.at(a)
		if i < 0 {
			return failure(casemate.NotFound, codeMissing, noResource)
		}
		a.Routes = slices.Delete(a.Routes, i, i+1)
		delete(f.Manage().Keeps().URLs, in.key())
		return nil
	})
}
