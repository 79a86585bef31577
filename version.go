package casemate

import (
	"strconv"
	"strings"
	"time"
)

// Runtime names what runs the code: "wasm", "nodejs20.x", "python3.12", "provided.al2023", "builtin".
type Runtime string

// Family is the runtime without its version: "wasm", "nodejs", "python", "provided", "builtin"; "" when unknown.
func (r Runtime) Family() string {
	for _, f := range [...]string{"wasm", "nodejs", "python", "provided", "builtin"} {
		if strings.HasPrefix(string(r), f) {
			return f
		}
	}
	return ""
}

// Isolation says how much state two events of one function may share.
type Isolation string

// The isolations.
const (
	IsolationRequest Isolation = "request" // a fresh sandbox for every event: the default
	IsolationTenant  Isolation = "tenant"  // reused for events of one tenant alone, replaced after any failure
	IsolationWarm    Isolation = "warm"    // reused as AWS does it: replaced after an exit, a timeout or a failed start, not after an error that the function reported
)

// Child is one program that a native function may execute beside its own: the file at Path, as long as its content has
// this digest.
type Child struct {
	Path   string `json:"path"`   // absolute and clean, as the function sees it
	SHA256 string `json:"sha256"` // lower-case hex; of the file on the node when it was deployed
}

// Rate is a token bucket: PerSecond tokens a second, at most Burst saved. The zero Rate means the default rate.
type Rate struct {
	PerSecond float64 `json:"per_second"`
	Burst     int     `json:"burst"`
}

// Limits bound one function. A zero field means the default of DefaultLimits, never "unlimited".
type Limits struct {
	Timeout     time.Duration `json:"timeout"`      // wall time of one run
	InitTimeout time.Duration `json:"init_timeout"` // wall time of a cold start
	MemoryMB    int           `json:"memory_mb"`
	TmpMB       int           `json:"tmp_mb"`
	Pids        int           `json:"pids"`
	Files       int           `json:"files"`       // open file descriptors
	Concurrency int           `json:"concurrency"` // runs at once
	Request     int64         `json:"request"`     // body bytes, after decoding
	Response    int64         `json:"response"`    // answer bytes
	Rate        Rate          `json:"rate"`

	CPU         int           `json:"cpu_millis,omitempty"`  // processor time: 1000 is one core; 0: a fair share of what there is
	Lifetime    time.Duration `json:"lifetime,omitempty"`    // of one sandbox that is reused, however busy
	Events      int           `json:"events,omitempty"`      // runs of one sandbox that is reused
	Output      int64         `json:"output,omitempty"`      // bytes that one run may write to its log; the rest is counted and dropped
	Connections int           `json:"connections,omitempty"` // to the outside, of one sandbox at once
	Traffic     int64         `json:"traffic,omitempty"`     // bytes to and from the outside, of one run

	Streamed int64 `json:"streamed,omitempty"` // bytes of a streamed answer; 0: MaxStreamed

	Reserved *int  `json:"reserved,omitempty"` // runs at once set aside for it, and the most it gets; 0: it does not run; nil: none
	Day      int64 `json:"day,omitempty"`      // runs in a calendar day, in UTC; 0: no quota
	Month    int64 `json:"month,omitempty"`    // likewise in a calendar month
}

// MaxAtOnce is the most events that one sandbox takes at once.
const MaxAtOnce = 16

// DefaultLimits are in force where a manifest says nothing. Payload bounds are AWS Lambda's.
func DefaultLimits() Limits {
	return Limits{
		Timeout: 3 * time.Second, InitTimeout: 10 * time.Second, MemoryMB: 128, TmpMB: 512, Pids: 128, Files: 1024,
		Concurrency: 50, Request: 6 << 20, Response: 6<<20 + 100, Rate: Rate{PerSecond: 1000, Burst: 2000},
		Lifetime: 2 * time.Hour, Events: 10_000, Output: 1 << 20, Connections: 64, Traffic: 1 << 30,
	}
}

// AsyncPolicy bounds the asynchronous life of an event.
type AsyncPolicy struct {
	Retries int           `json:"retries"` // 0..2 after the first attempt
	MaxAge  time.Duration `json:"max_age"` // 60 s .. 6 h
}

// Destinations are the ARNs of who is told how asynchronous events ended; "" is nobody. Dead letters go to queues alone.
type Destinations struct {
	OnSuccess  string `json:"on_success,omitempty"`
	OnFailure  string `json:"on_failure,omitempty"`
	DeadLetter string `json:"dead_letter,omitempty"`
}

// Version is one immutable, content-addressed state of a function: what exactly will run.
type Version struct {
	App       string            `json:"app"`
	Function  string            `json:"function"`
	ID        string            `json:"id"`     // lower-case hex SHA-256 over code and configuration
	Number    int               `json:"number"` // 1, 2, 3 ... per function
	ARN       string            `json:"arn"`    // unqualified function ARN
	Account   string            `json:"account"`
	Runtime   Runtime           `json:"runtime"`
	Handler   string            `json:"handler,omitempty"`
	Code      string            `json:"code"` // lower-case hex SHA-256 of the zip or the wasm module in the blob store
	CodeSize  int64             `json:"code_size"`
	Env       map[string]string `json:"env,omitempty"`
	Limits    Limits            `json:"limits"`
	Isolation Isolation         `json:"isolation"`
	Tenant    string            `json:"tenant,omitempty"`      // isolation tenant: where its key is: "header:x-org", "claim:tid", "event:/org/id"; "": X-Amz-Tenant-Id, else the principal
	Spare     int               `json:"provisioned,omitempty"` // sandboxes kept initialised, whatever the load
	Children  []Child           `json:"children,omitempty"`
	Layers    []Layer           `json:"layers,omitempty"`   // unpacked at /opt, in order; at most MaxLayers
	Contract  string            `json:"contract,omitempty"` // of events that come by no route: digest of the document in force, with what it names
	Role      string            `json:"role"`               // execution role: its statements are what the function may do
	Async     AsyncPolicy       `json:"async"`
	Screen    *Screen           `json:"screen,omitempty"`  // how events that come by no route are looked at; nil: attacks are refused
	Leaks     *Leaks            `json:"leaks,omitempty"`   // what answers to other functions and to AWS SDKs must not hold; nil: the defaults
	Logging   *Logging          `json:"logging,omitempty"` // nil: lines of text
	Created   time.Time         `json:"created"`

	Managed *Managed `json:"managed,omitempty"` // set where Lambda's API made it, or somebody is told of its asynchronous events
}

// Managed is what few versions have: those that Lambda's API made, those with destinations, and those whose sandboxes take several
// events at once. A node holds many versions.
type Managed struct {
	Told   *Destinations `json:"told,omitempty"`    // who is told how asynchronous events ended; nil: nobody
	AtOnce int           `json:"at_once,omitempty"` // events of one sandbox at once, under isolation warm alone; 0: one

	Draft       bool   `json:"draft,omitempty"` // not published: it runs as $LATEST alone, and the next change replaces it
	Description string `json:"description,omitempty"`
	Tracing     string `json:"tracing,omitempty"` // "Active" or "PassThrough", as it was told: every event is traced here
}

// Draft reports whether the version is not published.
func (v *Version) Draft() bool { return v.Managed != nil && v.Managed.Draft }

// AtOnce is how many events one sandbox of the version is asked to take at once, 1 where nothing is said.
func (v *Version) AtOnce() int {
	if v.Managed == nil {
		return 1
	}
	return max(v.Managed.AtOnce, 1)
}

// Description is what Lambda's API was told about the version.
func (v *Version) Description() string {
	if v.Managed == nil {
		return ""
	}
	return v.Managed.Description
}

// Told is who is told how the version's asynchronous events ended.
func (v *Version) Told() (d Destinations) {
	if v.Managed != nil && v.Managed.Told != nil {
		d = *v.Managed.Told
	}
	return d
}

// Name is what Lambda calls the version: its number, "$LATEST" for one that is not published.
func (v *Version) Name() string {
	if v.Draft() || v.Number < 1 {
		return "$LATEST"
	}
	return strconv.Itoa(v.Number)
}

// ByName is how events of the version that come by no route are screened, and what its answers to them must not hold.
func (v *Version) ByName() (s Screen, l Leaks) {
	if v.Screen != nil {
		s = *v.Screen
	}
	if v.Leaks != nil {
		l = *v.Leaks
	}
	return s, l
}

// Exception is a signed-off weakening: it must have a reason and an end.
type Exception struct {
	Reason  string    `json:"reason"`
	Expires time.Time `json:"expires"`
}

// Live reports whether the exception is in force at now.
func (x *Exception) Live(now time.Time) bool {
	return x != nil && x.Reason != "" && now.Before(x.Expires)
}

// Auth says which credentials a route takes. The zero Auth takes none and lets nobody in.
type Auth struct {
	Kinds []CredentialKind `json:"kinds,omitempty"`
	Open  *Exception       `json:"open,omitempty"` // anonymous callers while it lives

	Token      *TokenRule  `json:"token,omitempty"`      // what a token must say besides
	Webhook    *Webhook    `json:"webhook,omitempty"`    // set exactly when CredentialWebhook is among Kinds
	Authorizer *Authorizer `json:"authorizer,omitempty"` // set exactly when CredentialAuthorizer is among Kinds

	Certificate *Certificate `json:"certificate,omitempty"` // set exactly when CredentialCertificate is among Kinds
}

// Anonymous reports a route that takes no credential: whoever calls it is nobody, as long as its exception lives.
func (a *Auth) Anonymous() bool { return a.Open != nil && len(a.Kinds) == 0 }

// Own names the headers, in lower case, whose credentials are the function's own affair in a request that proved p by c: both where
// the route takes none and p is nobody, and the one that came beside a key or a token where that is all that the route reads. Who
// verifies c sees to it that what is in them is none of the platform's.
func (a *Auth) Own(c *Credential, p *Principal) []string {
	switch {
	case !p.Known():
		if a.Anonymous() {
			return []string{"authorization", "x-api-key"}
		}
	case c.Beside == "" || len(a.Kinds) > 1 || len(a.Kinds) == 1 && a.Kinds[0] != c.Kind:
	case c.Proves(p):
		return []string{c.Beside}
	}
	return nil
}

// TokenRule is what a route asks of tokens beyond what their issuer's entry does.
type TokenRule struct {
	Audience []string `json:"audience,omitempty"` // one of these, when there are any
	Scopes   []string `json:"scopes,omitempty"`   // all of these; "a or b" is one that either satisfies
}

// Route leads an HTTP request to a function.
type Route struct {
	ID       string `json:"id"` // "POST /orders/{id}": the API Gateway route key
	App      string `json:"app"`
	Host     string `json:"host,omitempty"` // empty: any host
	Method   string `json:"method"`         // upper case, or ANY
	Path     string `json:"path"`           // literal segments, {name} and a last {name+}
	Function string `json:"function"`
	Auth     Auth   `json:"auth"`
	Rate     Rate   `json:"rate"`
	Request  int64  `json:"request"`            // body bytes; 0: the function's bound
	Contract string `json:"contract,omitempty"` // digest of the contract document in force, with its pointer
	Answers  string `json:"answers,omitempty"`  // what becomes of an answer that the contract does not promise: "" it is blocked, "tag", "off"
	URL      bool   `json:"url,omitempty"`      // a function URL rather than a declared route

	Managed *ManagedURL `json:"managed,omitempty"` // of a URL that Lambda's API made

	Flow *FlowStep `json:"flow,omitempty"` // the step that the route is of a declared order of calls
	Keep *Keep     `json:"keep,omitempty"` // how long its answers are kept; nil: every event runs

	Screen Screen `json:"screen,omitzero"` // how what no contract closes is looked at

	Leaks Leaks `json:"leaks,omitzero"` // what its answers must not hold

	Object *Object `json:"object,omitempty"` // what a request is about, to be decided on as well; nil: the route alone
	Total  Limit   `json:"total,omitzero"`   // over all callers

	Timeout  time.Duration `json:"timeout,omitempty"`  // of a request, however long its function may run; 0: Within's default
	Response string        `json:"response,omitempty"` // ResponseStream: its answers leave while they are made

	Payload string `json:"payload,omitempty"` // shape of requests and answers: "" is format 2.0, "1.0", "rest" of a REST API
	Stage   string `json:"stage,omitempty"`   // that the function is told; a path that begins with it is without it there

	Browser *Browser `json:"browser,omitempty"` // what browsers are told; nil: the default
}

// Within is how long a request of the route may take once its function was started, 0: as long as the function may. Where the
// route does not say it is API Gateway's limit: 29 s of a REST API, 30 s of an HTTP API, none of answers that are streamed, and
// none of a function URL (https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html).
func (r *Route) Within() time.Duration {
	switch {
	case r.Timeout > 0:
		return r.Timeout
	case r.URL || r.Response == ResponseStream:
		return 0
	case r.Payload == "rest":
		return 29 * time.Second
	}
	return 30 * time.Second
}

// ManagedURL is what a function URL has that was made through Lambda's API. Its callers, known or not, need
// lambda:InvokeFunctionUrl and lambda:InvokeFunction, and no exception stands in for a missing one, as on AWS since October 2025
// (https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html).
type ManagedURL struct {
	Qualifier string `json:"qualifier,omitempty"` // an alias; "": the version in force
	Declared  bool   `json:"declared,omitempty"`  // a manifest made it, of an alias: its callers are those that the manifest says
}

// ByAPI reports a function URL that was made through Lambda's API.
func (r *Route) ByAPI() bool { return r.Managed != nil && !r.Managed.Declared }

// URLAuth is what AWS calls the credentials that a function URL takes: "NONE", "AWS_IAM", or "" where it has no word for them.
func (r *Route) URLAuth() string {
	switch {
	case r.Auth.Open != nil:
		return "NONE"
	case len(r.Auth.Kinds) == 1 && r.Auth.Kinds[0] == CredentialAccess:
		return "AWS_IAM"
	}
	return ""
}

// Alias is the qualifier that a function URL leads to; "" for the version in force.
func (r *Route) Alias() string {
	if r.Managed == nil {
		return ""
	}
	return r.Managed.Qualifier
}

// Match is what the catalog found for an event: one consistent snapshot of everything later stages need.
type Match struct {
	Version  *Version
	Route    *Route            // nil when the event names a function or a built-in
	Params   map[string]string // path parameters, decoded
	Action   string            // IAM action and resource to decide on
	Resource string
	Policy   Decider
	Contract Contract // nil: the body has no contract
	Revision string   // of the catalog snapshot

	Pattern      string // ARN of the route with {name} for its parameters; empty when there is no route
	ObjectAction string // what the policy has to allow as well, when the route says which object a request is about
	Object       string

	Async *AsyncPolicy  // how long a queued event is tried; nil: as the version says
	Told  *Destinations // likewise who is told how it ended

	Absent error // what was asked for is not there: told to who may ask for it; anybody else is forbidden it, as if it were
}
