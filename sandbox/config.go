package sandbox

import (
	"context"
	"errors"
	"net"
	"time"

	"casemate"
	"casemate/internal/walls"
)

// Runner runs the functions of one more family in a room of its own: WebAssembly.
type Runner interface {
	Run(ctx context.Context, l *casemate.Launch) (*casemate.Result, error)
	Drop(versionID string)
	Close(ctx context.Context) error
}

// Door is the only way out of one sandbox. It is made before the sandbox and closed after it.
type Door interface {
	// Doorway is what the sandbox must be given for it. It does not change.
	Doorway() casemate.Doorway
	// Serve takes over the i-th socket of Doorway.Listen; exactly one of the two is set. It does not block.
	Serve(i int, l net.Listener, c net.PacketConn)
	// Begin says whose run it is from now on; nil: nobody's, and nothing more leaves until the next.
	Begin(l *casemate.Launch)
	// Close closes what Serve was given and returns when nothing of the door runs any more.
	Close()
}

// watcher is a Door that judges the addresses a sandbox dials.
type watcher interface {
	OnConnect(network, address string) bool // as jail.Spec.OnConnect
}

// Config is what a Pool needs. Code and Dir are required.
type Config struct {
	// Code gives the unpacked code of a version: a folder on this host whose files everybody can read, that does not
	// change until release is called.
	Code func(ctx context.Context, v *casemate.Version) (dir string, release func(), err error)
	// Layers gives what a version has at /opt, likewise. It is asked of versions that have layers; nil refuses those.
	Layers func(ctx context.Context, v *casemate.Version) (dir string, release func(), err error)
	// Dir is a folder of this pool alone, for its bootstraps. It must lie where other users of the machine cannot write.
	Dir string
	// Interpreters of the host, from Runtimes; nil looks for them once, at New.
	Interpreters Interpreters
	// NodeSDK is a folder with the AWS SDK for JavaScript, which functions of Node find without bringing it along, as on Lambda:
	// its node_modules, or that itself. "" offers none.
	NodeSDK string
	// Doors makes the way out of a sandbox; record takes what the function tried. nil: no socket but the Runtime API's.
	Doors func(v *casemate.Version, record func(casemate.Effect)) (Door, error)
	// Logs takes every line, in order within a sandbox. It must not block for long. nil drops them.
	Logs func(casemate.LogLine)
	// Wasm runs WebAssembly functions; nil refuses them. The pool closes it.
	Wasm Runner

	// Debug names the versions whose runtime opens a debugger inside its sandbox, for Pool.Debug: Node and Python. Such a
	// version should be warm: it has one sandbox, which is neither stopped nor replaced for its age, and events wait for it. For
	// a developer's own node alone: whoever debugs a function is the function. nil: none.
	Debug func(v *casemate.Version) bool

	Clock     func() time.Time // nil: time.Now
	Place     casemate.Place   // zero: casemate.DefaultPlace
	AllowWeak bool             // start although walls are missing

	MaxSandboxes int           // processes at once; 0: 64
	IdleTimeout  time.Duration // a warm sandbox without an event ends; 0: 10 minutes
	MaxLifetime  time.Duration // a warm sandbox ends, however busy; 0: 2 hours
	MaxEvents    int           // events of one warm sandbox; 0: 10,000
	FreezeAfter  time.Duration // idle time before a warm sandbox is stopped; 0: 10 ms
	MaxKept      int           // idle sandboxes at once; the one idle longest ends first; 0: MaxSandboxes
	// Spares are waiting sandboxes of each kind: an empty jail, and each runtime and class of memory in use. 0: 2;
	// negative: none. They come on top of MaxSandboxes and are replaced after IdleTimeout.
	Spares int
}

func (c *Config) fill(ctx context.Context) error {
	if c.Code == nil || c.Dir == "" {
		return errors.New("sandbox: Code and Dir are required")
	}
	if c.MaxSandboxes < 0 || c.IdleTimeout < 0 || c.MaxLifetime < 0 || c.MaxEvents < 0 || c.FreezeAfter < 0 || c.MaxKept < 0 {
		return errors.New("sandbox: a bound is negative")
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logs == nil {
		c.Logs = func(casemate.LogLine) {}
	}
	if c.Place == (casemate.Place{}) {
		c.Place = casemate.DefaultPlace
	}
	if c.Interpreters == nil {
		c.Interpreters = Runtimes(ctx)
	}
	c.MaxSandboxes = or(c.MaxSandboxes, 64)
	c.IdleTimeout = or(c.IdleTimeout, 10*time.Minute)
	c.MaxLifetime = or(c.MaxLifetime, 2*time.Hour)
	c.MaxEvents = or(c.MaxEvents, 10_000)
	c.MaxKept = or(c.MaxKept, c.MaxSandboxes)
	if c.Spares == 0 {
		c.Spares = 2
	}
	if !walls.Up {
		c.Spares = -1 // what is made ahead gets its code through the walls
	}
	c.FreezeAfter = or(c.FreezeAfter, 10*time.Millisecond)
	return nil
}

func or[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// limits fills a version's bounds with the defaults: a zero is never "unlimited".
func limits(v *casemate.Version) casemate.Limits {
	l, d := v.Limits, casemate.DefaultLimits()
	l.Timeout = or(l.Timeout, d.Timeout)
	l.InitTimeout = or(l.InitTimeout, d.InitTimeout)
	l.MemoryMB = or(l.MemoryMB, d.MemoryMB)
	l.TmpMB = or(l.TmpMB, d.TmpMB)
	l.Pids = or(l.Pids, d.Pids)
	l.Files = or(l.Files, d.Files)
	l.Concurrency = or(l.Concurrency, d.Concurrency)
	l.Response = or(l.Response, d.Response)
	l.Output = or(l.Output, d.Output)
	l.Lifetime = or(l.Lifetime, d.Lifetime)
	l.Events = or(l.Events, d.Events)
	return l
}
