package casemate

import "time"

// Launch is one admitted run, resolved: a Runner needs to ask nobody anything.
type Launch struct {
	Version       *Version
	Event         *Event     // for built-ins; sandboxes do not look at it
	Principal     *Principal // likewise
	Params        map[string]string
	RequestID     string
	ARN           string // invoked ARN, qualifier included when one was given
	Payload       []byte
	Deadline      time.Time
	Trace         Trace
	ClientContext string
	Cognito       string // Principal.Cognito of its caller
	Tenant        string
	// Partition is set under isolation tenant, and never empty there: two launches of one version share a sandbox only
	// when their partitions are equal. It is a digest and tells nothing about the tenant.
	Partition string
	// Stream takes the answer while it is made; nil: it is wanted whole. A runner that cannot give it so gives it whole.
	Stream Streamer
}

// Failure says how a function itself failed. The zero Failure is success.
type Failure string

// The failures; the words are AWS Lambda's where it has one.
const (
	FailureNone     Failure = ""
	FailureHandled  Failure = "Unhandled"        // the function reported an error; Payload holds it
	FailureTimeout  Failure = "Sandbox.Timedout" // killed at its deadline
	FailureMemory   Failure = "Runtime.OutOfMemory"
	FailureExit     Failure = "Runtime.ExitError"
	FailureInit     Failure = "Runtime.InitError"
	FailureResponse Failure = "Function.ResponseSizeTooLarge"
)

// Usage is what one run cost.
type Usage struct {
	Wall      time.Duration `json:"wall_ns"`
	CPU       time.Duration `json:"cpu_ns"`            // user + system of everything in the sandbox
	Init      time.Duration `json:"init_ns,omitempty"` // cold start, spawn to ready; 0 when warm
	MemoryMB  int           `json:"memory_mb"`         // configured
	PeakBytes int64         `json:"peak_bytes"`        // highest resident use seen
	In        int64         `json:"in_bytes"`
	Out       int64         `json:"out_bytes"`
	Cold      bool          `json:"cold"`
	Fuel      int64         `json:"fuel,omitempty"`           // WebAssembly: instructions executed, exactly
	Sent      int64         `json:"sent_bytes,omitempty"`     // to the outside, over all connections
	Received  int64         `json:"received_bytes,omitempty"` // from there
	Shared    time.Duration `json:"shared_ns,omitempty"`      // of Wall: what other events in the same sandbox bear, so that its time is borne once
}

// The kinds of effects.
const (
	EffectResolve = "resolve" // asked for the address of a name
	EffectConnect = "connect" // opened a connection to a host and port
	EffectService = "service" // called a service through the door
	EffectSecret  = "secret"  // opened a version of a secret or parameter: Target is its ARN, "#" and the version
	EffectExec    = "exec"    // started a program
	EffectOpen    = "open"    // opened a file outside of its package
	EffectBeside  = "beside"  // shared its sandbox with other events that were in flight
	EffectCall    = "call"    // made a system call that is worth a record
)

// Effect is something a run did, or tried to do, outside its own memory.
type Effect struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`   // one of the kinds above, or a signal of the Runtime API
	Target  string    `json:"target"` // "example.com", "93.184.216.34:443", "/usr/bin/id", "ptrace"
	Verdict Verdict   `json:"verdict"`
	Reason  string    `json:"reason,omitempty"`
	Grant   string    `json:"grant,omitempty"` // the line of a manifest that would allow it, when a grant is missing
	Count   int       `json:"count,omitempty"` // times, when more than once
	In      int64     `json:"in_bytes,omitempty"`
	Out     int64     `json:"out_bytes,omitempty"`
	Of      string    `json:"-"` // request id of whose it is, where a sandbox has several events at once and it said so
}

// Unlisted are the effects of a run that its list has no room for. The zero Unlisted is of a list that has all.
type Unlisted struct {
	number  int
	verdict Verdict // Denied when one of them was
}

// Add counts one.
func (u *Unlisted) Add(x Effect) {
	if u.number++; u.number == 1 || x.Verdict == Denied {
		u.verdict = x.Verdict
	}
}

// On ends a list with what it has no room for. A program that opens a hundred files was refused nothing, and its record says so.
func (u Unlisted) On(list []Effect, now time.Time) []Effect {
	if u.number == 0 {
		return list
	}
	return append(list, Effect{At: now, Kind: "flood", Target: "effects", Verdict: u.verdict, Count: u.number, Reason: "further effects were not listed"})
}

// Doorway is what a sandbox must be given so that its door works.
type Doorway struct {
	Listen []string          // sockets to open inside, to be served from outside: "tcp 198.18.0.1:443", "udp 169.254.100.2:53"
	Etc    map[string][]byte // files of its /etc, by absolute path: resolv.conf, hosts
	Env    map[string]string // variables for SDKs: endpoint and credentials of this sandbox alone. They win over the platform's
}

// Result is what came of a run.
type Result struct {
	Payload     []byte
	ContentType string
	Failure     Failure
	Detail      string // operator's reading of the failure; never sent to a caller
	Usage       Usage
	Effects     []Effect
	Walls       []string    // the walls that held: "userns", "seccomp", ...
	Weak        []string    // the walls that were missing and waived by --allow-weak-sandbox
	Tail        []byte      // last 4 KB of the run's log
	Executed    string      // "3" or "$LATEST"
	Streamed    bool        // its head has been sent: what Payload holds is no answer, but the error of a run that failed after that
	Accepted    bool        // async: queued durably, not run yet
	Again       string      // id of the event that was accepted before under the same idempotency key: this one is not queued
	Notes       []string    // rules that the answer broke where a route only tags; they hold nothing of it
	Answer      *Answer     // the payload as Event.Decode read it and the shield let it go; set by the gate
	Record      string      // id of the record; set by the gate
	Match       *Match      // set by the gate
	Principal   *Principal  // set by the gate
	Room        Reservation // set by the gate: what is left to its caller
}

// LogLine is one line a function wrote, attributed to its run.
type LogLine struct {
	At       time.Time `json:"at"`
	App      string    `json:"app"`
	Function string    `json:"function"`
	Version  int       `json:"version"`
	Request  string    `json:"request,omitempty"` // empty while initialising
	Stream   string    `json:"stream"`            // stdout, stderr, platform
	Level    string    `json:"level,omitempty"`   // TRACE, DEBUG, INFO, WARN, ERROR, FATAL; empty when its writer did not say
	Text     string    `json:"text"`              // an entry of a runtime's own may have several lines
}
