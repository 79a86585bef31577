// Package manifest reads casemate.yaml strictly: what it does not know, doubts or cannot parse is a problem with its line
// and column, and all problems are found at once.
package manifest

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"time"

	"casemate"
)

// File is the name of the manifest, at the root of a project and of a bundle.
const File = "casemate.yaml"

// Manifest is casemate.yaml, decoded. The published JSON Schema is made from these types: `key` is the name in the
// file, `doc` the description, `need` marks what must be there, `min` and `max` are inclusive bounds in the field's own
// notation, `like` is a regular expression, `one` an enumeration.
type Manifest struct {
	App          string                  `key:"app" need:"" like:"^[a-z][a-z0-9-]{0,62}$" doc:"Name of the app; functions and roles belong to it."`
	Functions    map[string]*Function    `key:"functions" need:"" like:"^[A-Za-z0-9_-]{1,64}$" doc:"The functions, by name. Names are unique on a node."`
	Routes       map[string]*Route       `key:"routes" doc:"HTTP routes by route key: \"POST /orders/{id}\", \"ANY /files/{path+}\" or \"$default\"."`
	Roles        map[string]*Role        `key:"roles" like:"^[A-Za-z0-9_-]{1,64}$" doc:"Roles of callers: what the holder of a key or token may do."`
	Budgets      []Budget                `key:"budgets" doc:"Ceilings in money on what this app spends. The operator's hold beside them: casemate budget."`
	Auth         Auth                    `key:"auth" doc:"Who may vouch for callers."`
	Webhooks     map[string]*Webhook     `key:"webhooks" like:"^[a-z][a-z0-9-]{0,62}$" doc:"Senders of signed requests, by name. A route takes one as webhook:<name>."`
	Authorizers  map[string]*Authorizer  `key:"authorizers" like:"^[a-z][a-z0-9-]{0,62}$" doc:"Functions that say who a caller is, by name. A route takes one as authorizer:<name>."`
	Certificates map[string]*Certificate `key:"certificates" like:"^[a-z][a-z0-9-]{0,62}$" doc:"TLS client certificates that are taken, by name. A route takes one rule as certificate:<name>."`
	Schedules    map[string]*Schedule    `key:"schedules" like:"^[A-Za-z0-9_.-]{1,64}$" doc:"Moments in time at which functions run, by name."`
	Queues       map[string]*Queue       `key:"queues" like:"^[A-Za-z0-9_-]{1,75}([.]fifo)?$" doc:"Message queues, by name; those that end in .fifo keep the order of each message group. Names are unique on a node."`
	Plans        map[string]*Plan        `key:"plans" like:"^[A-Za-z0-9_-]{1,64}$" doc:"Usage plans, by name: rates and quotas that keys, roles and issuers name."`
	Flows        map[string]*Flow        `key:"flows" like:"^[A-Za-z0-9_-]{1,64}$" doc:"Orders of calls that must be kept, by name."`
	Guardrails   []Statement             `key:"guardrails" doc:"Deny statements that no role and no resource policy can override, on the whole node."`
	Resources    map[string][]Statement  `key:"resources" like:"^(function|route|secret|parameter|table|bucket|queue|topic|bus|object)/.{1,512}$" doc:"Resource policies: who may, by what it is about: \"function/<name>\", \"route/GET /orders/{id}\", \"secret/<name>\", \"table/<name>\"."`
	Environment  string                  `key:"environment" like:"^[a-z][a-z0-9]{0,31}$" doc:"Part of the node that the app belongs to: dev, staging, prod. Apps, functions and whatever is stored under such a name do not reach another one's."`

	Warnings []Problem // doubtful, not wrong: open routes, wide grants

	name  string          // as given to Parse, for origins
	marks map[string]Mark // by JSON pointer
}

// Function is one function of a manifest.
type Function struct {
	Runtime     string            `key:"runtime" need:"" one:"wasm nodejs18.x nodejs20.x nodejs22.x nodejs24.x python3.9 python3.10 python3.11 python3.12 python3.13 python3.14 provided.al2 provided.al2023" doc:"What runs the code: wasm (WASI preview 1), or an AWS Lambda runtime name."`
	Handler     string            `key:"handler" like:"^[^\\s\\x00]{1,128}$" doc:"Entry point, as AWS Lambda writes it: \"index.handler\". Needed by Node and Python."`
	Code        string            `key:"code" need:"" doc:"A folder to pack, a .zip, or a .wasm module; relative to the manifest."`
	Build       string            `key:"build" doc:"Command that makes the code. Run by the command line before packing, never by the node."`
	Timeout     Duration          `key:"timeout" min:"10ms" max:"900s" doc:"Wall time of one run (default 3s)."`
	InitTimeout Duration          `key:"init_timeout" min:"10ms" max:"900s" doc:"Wall time of a cold start (default 10s)."`
	Memory      Size              `key:"memory" min:"16MB" max:"10240MB" doc:"Memory of the whole sandbox (default 128MB)."`
	CPU         Cores             `key:"cpu" doc:"Processor time: \"0.5\" is half a core, \"2\" are two (default a fair share of what there is)."`
	Tmp         Size              `key:"tmp" min:"1MB" max:"10240MB" doc:"Size of /tmp (default 512MB)."`
	Concurrency int               `key:"concurrency" min:"1" max:"1000" doc:"Runs at once (default 50)."`
	Reserved    *int              `key:"reserved_concurrency" min:"0" max:"1000" doc:"Runs at once set aside on the node: nobody else gets them, and the function gets no more. 0 stops the function."`
	Quota       *Quota            `key:"quota" doc:"Runs in a day and a month."`
	Rate        Rate              `key:"rate" doc:"Runs a second: \"100/s burst 200\" (default 1000/s burst 2000)."`
	MaxBody     Size              `key:"max_body" min:"1" max:"6MB" doc:"Largest request body, after decoding (default 6MB)."`
	MaxStream   Size              `key:"max_stream" min:"1KB" max:"200MB" doc:"Largest streamed answer (default 200MB)."`
	Isolation   string            `key:"isolation" one:"request tenant warm" doc:"request: a fresh sandbox for every event (default). tenant: reused for one tenant alone. warm: reused as AWS does it."`
	Tenant      string            `key:"tenant" like:"^(header:[A-Za-z0-9-]{1,64}|claim:[A-Za-z0-9_.:/-]{1,128}|event:/.{1,128})$" doc:"Where isolation: tenant finds its key: header:x-org, claim:tid or event:/org/id (default X-Amz-Tenant-Id, else the caller)."`
	Provisioned int               `key:"provisioned" min:"1" max:"64" doc:"Sandboxes kept initialised, whatever the load (default none)."`
	Lifetime    Duration          `key:"lifetime" min:"1s" max:"24h" doc:"How long one sandbox is reused at most, however busy (default 2h)."`
	MaxEvents   int               `key:"max_events" min:"1" max:"1000000" doc:"Events of one sandbox that is reused (default 10000)."`
	AtOnce      int               `key:"sandbox_concurrency" min:"1" max:"16" doc:"Events that one sandbox takes at once, with isolation: warm and a runtime of its own (provided) that asks for several, as under AWS_LAMBDA_MAX_CONCURRENCY (default 1)."`
	Output      Size              `key:"output" min:"1KB" max:"64MB" doc:"Bytes one run may write to its log; the rest is counted and dropped (default 1MB)."`
	Connections int               `key:"connections" min:"1" max:"1024" doc:"Connections to the outside at once, of one sandbox (default 64)."`
	Traffic     Size              `key:"traffic" min:"1KB" max:"1024GB" doc:"Bytes to and from the outside, of one run (default 1GB)."`
	Children    []Child           `key:"children" doc:"Programs that a native function may execute beside its own: \"/usr/bin/pdftotext\", or \"/usr/bin/pdftotext sha256:...\" to pin it."`
	Layers      []Layer           `key:"layers" doc:"What is unpacked at /opt, later ones over earlier ones, at most 5: a folder or a .zip beside the manifest, or a published version: \"tools:3\", or its ARN. Programs in extensions/ run beside the function."`
	Log         *Log              `key:"log" doc:"How its log is written (default: lines of text)."`
	Env         map[string]string `key:"env" like:"^[A-Za-z_][A-Za-z0-9_]{0,127}$" doc:"Environment, 4 KB in all. Not for secrets."`
	Grants      []string          `key:"grants" doc:"What the function may do, in short form: \"read table/orders\"."`
	Statements  []Statement       `key:"statements" doc:"What the function may do, as IAM statements."`
	Boundary    []Statement       `key:"boundary" doc:"IAM statements that must allow as well, whatever the grants say."`
	URL         *URL              `key:"url" doc:"Gives the function a URL of its own."`
	Async       *Async            `key:"async" doc:"How asynchronous events are retried."`
	Versions    []string          `key:"versions" doc:"Names of versions: each is given to the version that the first deploy with it puts in force, and keeps it."`
	Aliases     map[string]*Alias `key:"aliases" like:"^[A-Za-z0-9_-]{1,128}$" doc:"Names that lead to versions: {live: {}} leads to the one in force."`
	Contract    *Contract         `key:"contract" doc:"Contract of events that come by no route: by name, asynchronously, from functions."`
	Events      []Event           `key:"events" doc:"Sources whose events the function gets: queues."`
	Screen      *Screen           `key:"screen" doc:"How what no contract closes is looked at for attacks, in events that come by no route (default: they are refused)."`
	Leaks       *Leaks            `key:"leaks" doc:"What is done about answers to functions and to AWS SDKs that hold more than callers should see."`
}

// Child is a program a function may execute: its path, and the digest it is pinned to, if any.
type Child struct{ Path, SHA256 string }

// URL is a function URL.
type URL struct {
	Auth     RouteAuth `key:"auth" need:"" doc:"Credentials that the URL takes."`
	Scopes   []string  `key:"scopes" doc:"Scopes that a token must have, all of them; \"orders:write or orders:admin\" is one that either satisfies."`
	Audience []string  `key:"audience" doc:"A token must be for one of these, besides what its issuer's audience says."`
	Contract *Contract `key:"contract" doc:"Contract of requests, and of what is answered to them."`
	Screen   *Screen   `key:"screen" doc:"How the text that no contract closes is looked at for attacks (default: they are refused)."`
	Rate     Rate      `key:"rate" doc:"Requests a second of one caller."`
	Total    *Room     `key:"total" doc:"Limits over all callers of the URL together."`
	MaxBody  Size      `key:"max_body" min:"1" max:"6MB" doc:"Largest request body, after decoding."`
	Response string    `key:"response" one:"buffered stream" doc:"stream: answers leave while the function makes them, where it does so piece by piece (default buffered: when it has ended)."`
	Leaks    *Leaks    `key:"leaks" doc:"What is done about answers that hold more than callers should see."`
	CORS     *CORS     `key:"cors" doc:"Which pages of other origins may call the URL and read its answers (default: its function says)."`
	Headers  *Headers  `key:"headers" doc:"Security headers that answers get (default: all of them, where the function says nothing)."`
	Cookies  *Cookies  `key:"cookies" doc:"What becomes of cookies that the function sets (default: they are hardened)."`
}

// Route is the URL as the route that it is: to the function, with whatever path.
func (u *URL) Route(function string) *Route {
	return &Route{Function: function, Auth: u.Auth, Scopes: u.Scopes, Audience: u.Audience, Contract: u.Contract, Screen: u.Screen, Rate: u.Rate, Total: u.Total,
		MaxBody: u.MaxBody, Response: u.Response, Leaks: u.Leaks, CORS: u.CORS, Headers: u.Headers, Cookies: u.Cookies}
}

// Async is how asynchronous events live.
type Async struct {
	Retries *int     `key:"retries" min:"0" max:"2" doc:"Runs after the first failed one (default 2)."`
	MaxAge  Duration `key:"max_age" min:"60s" max:"6h" doc:"Age at which an event is given up (default 6h)."`

	OnSuccess  string `key:"on_success" like:"^(queue/[A-Za-z0-9_-]{1,75}|function/[A-Za-z0-9_-]{1,64}(:[A-Za-z0-9$_-]{1,128})?|arn:aws:(sqs|lambda):[!-~]{1,200})$" doc:"Queue or function that gets AWS's record of each event that ran well: \"queue/done\", \"function/audit\", or an ARN of this node. The function needs the grant to send there."`
	OnFailure  string `key:"on_failure" like:"^(queue/[A-Za-z0-9_-]{1,75}|function/[A-Za-z0-9_-]{1,64}(:[A-Za-z0-9$_-]{1,128})?|arn:aws:(sqs|lambda):[!-~]{1,200})$" doc:"Likewise of each event that failed for good (default: casemate async lists it)."`
	DeadLetter string `key:"dead_letter" like:"^(queue/[A-Za-z0-9_-]{1,75}|arn:aws:sqs:[!-~]{1,200})$" doc:"Queue that gets each event that failed for good, as it was sent, with RequestID, ErrorCode and ErrorMessage as attributes."`
}

// Route leads requests to a function.
type Route struct {
	Function string    `key:"function" need:"" doc:"Name of the function."`
	Auth     RouteAuth `key:"auth" need:"" doc:"Credentials that the route takes: [key, jwt, webhook:<name>, authorizer:<name>], or none with a reason and an end."`
	Scopes   []string  `key:"scopes" doc:"Scopes that a token must have, all of them; \"orders:write or orders:admin\" is one that either satisfies."`
	Audience []string  `key:"audience" doc:"A token must be for one of these, besides what its issuer's audience says."`
	Contract *Contract `key:"contract" doc:"Contract of requests, and of what is answered to them."`
	Screen   *Screen   `key:"screen" doc:"How the text that no contract closes is looked at for attacks (default: they are refused)."`
	Host     string    `key:"host" like:"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$" doc:"Only for this host name (default any)."`
	Rate     Rate      `key:"rate" doc:"Requests a second of one caller: \"10/s burst 20\"."`
	Cache    *Cache    `key:"cache" doc:"Answers are kept for equal requests of the same caller (default: every request runs)."`
	Total    *Room     `key:"total" doc:"Limits over all callers of the route together."`
	MaxBody  Size      `key:"max_body" min:"1" max:"6MB" doc:"Largest request body, after decoding (default: the function's)."`
	Payload  string    `key:"payload" one:"2.0 1.0 rest" doc:"Shape of requests and answers: payload format 2.0 of HTTP APIs (default), 1.0, or that of a REST API's proxy integration."`
	Stage    string    `key:"stage" like:"^(\\$default|[A-Za-z0-9_-]{1,128})$" doc:"Stage that the function is told (default $default, prod for rest). It does not see the stage in a path that begins with it."`
	Resource string    `key:"resource" doc:"Object that a request is about, which its caller's role must be allowed to read (GET, HEAD, OPTIONS) or write: \"table/orders/${path:id}\"."`
	Timeout  Duration  `key:"timeout" min:"50ms" max:"15m" doc:"How long a request may take: then its caller gets 504, and the run ends (default 30s, 29s for rest, none where answers are streamed). Asynchronous events have their function's timeout alone."`
	Response string    `key:"response" one:"buffered stream" doc:"stream: answers leave while the function makes them, where it does so piece by piece (default buffered: when it has ended)."`
	Leaks    *Leaks    `key:"leaks" doc:"What is done about answers that hold more than callers should see."`
	CORS     *CORS     `key:"cors" doc:"Which pages of other origins may call the route and read its answers (default: its function says)."`
	Headers  *Headers  `key:"headers" doc:"Security headers that answers get (default: all of them, where the function says nothing)."`
	Cookies  *Cookies  `key:"cookies" doc:"What becomes of cookies that the function sets (default: they are hardened)."`
}

// Leaks says what the answers of a route must not hold.
type Leaks struct {
	Secrets  string `key:"secrets" one:"block mask off" doc:"Credentials (default: those of the platform and private keys are blocked, tokens of well-known services masked)."`
	Personal string `key:"personal" one:"block mask off" doc:"Numbers of cards and bank accounts (default off)."`
	Traces   string `key:"traces" one:"scrub off" doc:"Stack traces, paths and internal names in errors (default scrub)."`
}

// Contract names what requests or messages are held to.
type Contract struct {
	File      string `key:"file" need:"" doc:"JSON Schema, OpenAPI or AsyncAPI document, JSON or YAML, relative to the manifest."`
	Operation string `key:"operation" doc:"Operation of an OpenAPI document: \"POST /orders\"."`
	Pointer   string `key:"pointer" like:"^(/.*)?$" doc:"JSON pointer to the schema in the document."`
	Message   string `key:"message" doc:"Message of an AsyncAPI document, by its name."`
	Answers   string `key:"answers" one:"block tag off" doc:"What becomes of an answer that the operation does not promise: it is blocked (default), noted in the record, or not looked at."`
}

// Role is what its holders may do.
type Role struct {
	Grants     []string    `key:"grants" doc:"Short form: \"call POST /orders\"."`
	Statements []Statement `key:"statements" doc:"IAM statements."`
	Boundary   []Statement `key:"boundary" doc:"IAM statements that must allow as well."`
	Trust      []Statement `key:"trust" doc:"Who may assume the role: IAM statements with a Principal. Without one, nobody may."`
	Plan       string      `key:"plan" doc:"Usage plan of holders that have none of their own."`
}

// Auth lists the issuers whose tokens are taken.
type Auth struct {
	JWT []Issuer `key:"jwt" doc:"Trusted issuers of JSON Web Tokens."`
}

// Issuer is one trusted signer of tokens.
type Issuer struct {
	Issuer     string            `key:"issuer" need:"" doc:"Exact value of the iss claim."`
	Audience   []string          `key:"audience" need:"" doc:"Values of the aud claim, one of which must be there."`
	Keys       Keys              `key:"keys" doc:"Where the public keys are (default: where the issuer's OpenID configuration says)."`
	Algorithms []string          `key:"algorithms" need:"" one:"RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA" doc:"Signature algorithms taken; nothing else is."`
	RoleClaim  string            `key:"role_claim" doc:"Claim that names the role."`
	Roles      map[string]string `key:"roles" doc:"Value of role_claim to role. Other values get no role."`
	Role       string            `key:"role" doc:"Role of every token of this issuer, when there is no role_claim."`
	Plan       string            `key:"plan" doc:"Usage plan of every token of this issuer."`
	Scopes     []string          `key:"scopes" doc:"Scopes that every token must have."`
	Clients    []string          `key:"clients" doc:"Values of azp or client_id, one of which must be there (default any)."`
	Tokens     string            `key:"tokens" one:"access at+jwt id" doc:"access: no ID token that can be told as one (default). at+jwt: access tokens of RFC 9068 alone. id: ID tokens."`
}

// Keys is at most one of a JWKS file and a JWKS address; neither: the issuer's OpenID configuration says where they are.
type Keys struct {
	File string `key:"file" doc:"JWKS document, relative to the manifest."`
	URL  string `key:"url" like:"^(https://|http://(127\\.0\\.0\\.1|\\[::1\\]|localhost)[:/])[^\\s]+$" doc:"JWKS address: https, or http on loopback."`
}

// RouteAuth says which credentials a route takes: a list of key, jwt, webhook:<name> and authorizer:<name>, or none with a reason and an end. The zero
// RouteAuth takes none and lets nobody in; a manifest has to say one or the other.
type RouteAuth struct {
	Kinds []string
	None  *casemate.Exception
}

// Statement is one IAM statement as it stands in the manifest: JSON now, parsed by the policy room.
type Statement struct {
	JSON json.RawMessage
	Mark Mark
}

// Duration is a Go duration string: "3s", "250ms", "1h". The zero Duration means the default.
type Duration time.Duration

// Size is a number of bytes with a unit: "128MB". K, M and G are powers of 1024, as AWS counts. Zero means the default.
type Size int64

// Rate is "10/s burst 20". The zero Rate means the default.
type Rate struct{ casemate.Rate }

// Cores is processor time in thousandths of a core: "0.5", "2". Zero means a fair share.
type Cores int

// Mark is a place in a manifest, both parts counted from 1.
type Mark struct{ Line, Column int }

// Files are the paths of contracts and key sets, sorted, each once.
func (m *Manifest) Files() []string {
	names := map[string]bool{}
	for at := range m.named() {
		names[*at] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Below says that the paths of Files are in this folder of the one that they are read from; "": they are in that one.
func (m *Manifest) Below(folder string) {
	if folder == "" {
		return
	}
	for at := range m.named() {
		*at = path.Join(folder, *at)
	}
}

// named are where the manifest names files: each place once, none of them empty.
func (m *Manifest) named() map[*string]bool {
	all := map[*string]bool{}
	contract := func(c *Contract) {
		if c != nil {
			all[&c.File] = true
		}
	}
	for _, r := range m.Routes {
		contract(r.Contract)
	}
	for _, f := range m.Functions {
		contract(f.Contract)
		if f.URL != nil {
			contract(f.URL.Contract)
		}
		for _, a := range f.Aliases {
			if a.URL != nil {
				contract(a.URL.Contract)
			}
		}
	}
	for i := range m.Auth.JWT {
		all[&m.Auth.JWT[i].Keys.File] = true
	}
	for _, x := range m.Certificates {
		all[&x.CA] = true
	}
	maps.DeleteFunc(all, func(at *string, _ bool) bool { return *at == "" })
	return all
}
