package casemate

import (
	"io"
	"iter"
	"strings"
	"time"
)

// Source says which front heard an event.
type Source string

// The sources of today; each front owns one.
const (
	SourceHTTP  Source = "http"  // a declared route
	SourceURL   Source = "url"   // a function URL
	SourceAdmin Source = "admin" // the CLI's and the console's API
	SourceAsync Source = "async" // the durable queue, running an event accepted before
	SourceAWS   Source = "aws"   // AWS's services, called by a client outside
	SourceRun   Source = "run"   // a function, calling a service or another function through its door

	SourceQueue Source = "queue" // messages of a queue, by an event source mapping

	SourceSchedule Source = "schedule" // a moment that an app names

	SourceDestination Source = "destination" // word of how an asynchronous event ended, for who is to be told

	SourceAuthorizer Source = "authorizer" // the node itself, asking a Lambda authorizer about another event
)

// Target is what an event asks for, as the front heard it: not yet known to exist. Exactly one of the three forms is set.
type Target struct {
	Host, Method, Path string // a route: Path is the raw (still encoded) path, starting with "/"
	Function           string // a function by name, "name:qualifier" or ARN
	Builtin            string // an operation of the platform itself: "deploy", "keys.create" (SourceAdmin), "secretsmanager.GetSecretValue" (SourceRun)
}

// String is the target in a few words, without the host: "POST /orders", "function price", "keys.create". It is cut at
// 200 bytes.
func (t Target) String() string {
	s := t.Method + " " + t.Path
	switch {
	case t.Builtin != "":
		s = t.Builtin
	case t.Function != "":
		s = "function " + t.Function
	}
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "")
	}
	return s
}

// CredentialKind names how a caller proves who it is.
type CredentialKind string

// The kinds; the empty kind is "none was sent".
const (
	CredentialNone   CredentialKind = ""
	CredentialKey    CredentialKind = "key"    // Casemate API key
	CredentialBearer CredentialKind = "bearer" // JWT
	CredentialPeer   CredentialKind = "peer"   // uid of a unix-socket peer, as the kernel says it
	CredentialSigned CredentialKind = "signed" // an AWS signature with a sandbox's own key
	CredentialRun    CredentialKind = "run"    // an event the node itself continues (async); never made from outside bytes

	CredentialMapping     CredentialKind = "mapping"     // an event source mapping of this node; never made from outside bytes
	CredentialSchedule    CredentialKind = "schedule"    // likewise a schedule
	CredentialDestination CredentialKind = "destination" // likewise a function whose asynchronous event ended
	CredentialCertificate CredentialKind = "certificate" // TLS client certificate
	CredentialAccess      CredentialKind = "sigv4"       // an AWS signature with an access key or session that this platform issued
	CredentialWebhook     CredentialKind = "webhook"     // a sender's signature over the body
	CredentialAuthorizer  CredentialKind = "authorizer"  // whatever the route's Lambda authorizer reads
	CredentialSession     CredentialKind = "session"     // an operator who signed in
)

// Credential is what the caller sent, not verified yet. It never prints its secret.
type Credential struct {
	Kind   CredentialKind
	Secret string     // key, token or session
	UID    uint32     // CredentialPeer only
	As     *Principal // CredentialRun: who the accepted event belonged to; CredentialMapping, CredentialSchedule: the mapping, the schedule
	Signed *Signed    // CredentialSigned and CredentialAccess only
	Chain  [][]byte   // client certificate as TLS took it, in DER, the leaf first; set beside any kind, not verified yet
	Beside string     // header, in lower case, with another credential, which proves nobody: "authorization" or "x-api-key"; empty: there is none
}

// Proves reports that c by itself says who p is: a key its holder, a bearer's token its subject.
func (c *Credential) Proves(p *Principal) bool {
	return p.Kind == KindKey && c.Kind == CredentialKey || p.Kind == KindToken && c.Kind == CredentialBearer
}

// String hides the secret.
func (c Credential) String() string { return "credential(" + string(c.Kind) + ")" }

// GoString hides the secret from %#v.
func (c Credential) GoString() string { return c.String() }

// Trace is a W3C trace context (https://www.w3.org/TR/trace-context/), lower-case hex.
type Trace struct {
	TraceID, SpanID, ParentID string // 32, 16 and 16 digits; ParentID empty at a root
	Sampled                   bool
	State                     string // tracestate, passed on as it came
}

// Event is one thing that happened in the world and wants a function to run. Fronts build it, the gate alone consumes it.
type Event struct {
	ID         string // request id, a version-4 UUID; the same on every retry
	Parent     string // record id of the run that caused this one; empty at a root
	Chain      string // id of the first event of the causal chain; empty means ID
	Depth      int    // calls from function to function that led here; at most MaxDepth
	Spent      Money  // by its chain before it, where it was taken up from what waited outside of the gate
	Source     Source
	Target     Target
	Action     string // IAM action, set by the front for functions and built-ins; for routes the catalog says it
	Resource   string // ARN or pattern-free resource name; likewise
	Credential Credential
	SourceIP   string
	UserAgent  string
	Received   time.Time
	Async      bool // queue durably, answer before running
	Attempt    int  // 1 on the first run; async only beyond that
	DryRun     bool // admit, do not run
	Trace      Trace
	// Context holds IAM condition keys the front vouches for (aws:SourceIp, aws:SecureTransport, ...), lower-case keys.
	Context map[string][]string

	ContentType     string
	ContentEncoding string    // "", "gzip", "deflate"; the gate decodes it to a bound before anything parses
	Size            int64     // declared length, -1 when not declared
	Body            io.Reader // not read before the policy and quota said yes; nil means Payload is the body
	Payload         []byte
	// Encode turns the clean body into what the function receives (an HTTP v2 event, say); nil means the body itself.
	Encode func(m *Match, p *Principal, body []byte) ([]byte, error)
	// Check finds out what is wrong with the request itself; who may not do what it asks for is not told. nil: nothing is.
	Check func() error
	// Stream, when set, receives a built-in's output as it is made; Result.Payload is then empty.
	Stream io.Writer
	// Answering, when set, takes a function's answer while it is made, where the event's route says so or there is none.
	Answering Stream

	// IdempotencyKey, of an event that is to be queued, has it accepted once: events with the same key, by the same caller for the
	// same function, are answered like the first. Empty: each is accepted.
	IdempotencyKey string

	ClientContext string // decoded JSON, Lambda's X-Amz-Client-Context
	Tenant        string // tenant id as the caller gave it: Lambda's X-Amz-Tenant-Id
	// Header gives the values of a header of the request, by its name in any case; nil where there are no headers.
	Header  func(name string) []string
	Headers iter.Seq2[string, string] // every header line, names in any case; nil where there are none
	// Spelled is how the caller wrote the name of a header; nil where that is not known. For what a function is told alone:
	// decisions take names in any case.
	Spelled func(name string) string
	Query   string // as sent, still encoded, without "?"
	// Fields are values of the event beside path, query, headers and body that somebody outside chose: an object's key, a
	// topic, a message's attributes.
	Fields []Field
	// Decode reads a function's result as an answer that contracts and leak checks understand; nil: only its bytes are known.
	Decode func(r *Result) (*Answer, error)
}
