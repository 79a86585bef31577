package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"casemate"
	"casemate/sandbox/wasm/wire"
)

// Compiled code is machine code, so that who can write it owns every later worker of it. It is made in a worker of its
// own that never runs guest code, travels back over the socket into a directory that only the node writes, and is mounted
// read-only into the workers of that one function. Two functions never share it, even when their modules are the same.

const (
	compiledLimit   = 512 << 20 // bytes of compiled code of one module
	compiledObjects = 64        // files
	compileMemory   = 1 << 30   // bytes the compile step may use
	workerMemory    = 64 << 20  // bytes of a worker beside its guest's memory and its code
	snapshotPages   = 1 << 10   // most of a snapshot, beside its guest's memory
	moduleFactor    = 12        // memory of a compiled module in a worker, in sizes of the module
)

// compilation is one compile step, shared by all who need it.
type compilation struct {
	done chan struct{}
	dir  string
	made bool // by this pool, rather than found
	err  error
}

// preparedRevision goes up whenever package module prepares modules in another way: what older nodes have kept is not
// what this one would run. A test notices.
const preparedRevision = "2"

// cacheKey names the compiled code of one function's module under this build.
func cacheKey(v *casemate.Version) string {
	h := sha256.New()
	wazero := ""
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, d := range b.Deps {
			if d.Path == "github.com/tetratelabs/wazero" {
				wazero = d.Version + d.Sum
			}
		}
	}
	for _, part := range [...]string{preparedRevision, v.Account, v.App, v.Function, v.Code, runtime.Version(), runtime.GOARCH, wazero} {
		fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// compile gives the directory of the version's compiled code, and makes it if it is not there; made says that this pool
// did. The step outlives a caller that goes away, so that the next one finds it done; a failed step is forgotten.
func (p *Pool) compile(ctx context.Context, v *casemate.Version) (dir string, made bool, err error) {
	key := cacheKey(v)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return "", false, errClosed
	}
	c := p.compiled[key]
	if c == nil {
		c = &compilation{done: make(chan struct{}), dir: filepath.Join(p.cfg.CacheDir, key)}
		p.compiled[key] = c
		p.tasks.Go(func() {
			c.made, c.err = p.compileStep(p.ctx, v, c.dir)
			if c.err != nil {
				p.mu.Lock()
				delete(p.compiled, key)
				p.mu.Unlock()
			}
			close(c.done)
		})
	}
	p.mu.Unlock()
	select {
	case <-c.done:
		return c.dir, c.made, c.err
	case <-ctx.Done():
		return "", false, ctx.Err()
	}
}

// forget drops compiled code that a worker could not load, so that it is made again.
func (p *Pool) forget(v *casemate.Version) error {
	key := cacheKey(v)
	p.mu.Lock()
	delete(p.compiled, key)
	p.mu.Unlock()
	return os.RemoveAll(filepath.Join(p.cfg.CacheDir, key))
}

// compileStep fills dir, all or nothing, unless it is there.
func (p *Pool) compileStep(ctx context.Context, v *casemate.Version, dir string) (made bool, err error) {
	if _, err := os.Stat(dir); err == nil {
		return false, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("looking for compiled code: %w", err)
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return false, errClosed
	}
	module, release, err := p.cfg.Code(ctx, v)
	if err != nil {
		return false, fmt.Errorf("fetching the module: %w", err)
	}
	defer release()
	return true, p.compileInto(ctx, module, dir)
}

func (p *Pool) compileInto(ctx context.Context, module, dir string) error {
	part, err := os.MkdirTemp(p.cfg.CacheDir, "part-")
	if err != nil {
		return fmt.Errorf("making room for compiled code: %w", err)
	}
	defer os.RemoveAll(part) // a no-op once it is renamed
	spec := &Spec{Module: module, MemoryBytes: compileMemory, TmpBytes: compiledLimit, AllowWeak: p.cfg.AllowWeak}
	w, err := p.startLink(ctx, spec, &wire.Setup{Compile: true, Pages: 1 << 16}, wire.ObjectChunk+wire.SetupLimit)
	if err != nil {
		return err
	}
	defer w.abandon()
	stop := context.AfterFunc(ctx, w.kill)
	defer stop()
	sink := &objectSink{dir: part}
	if err = w.await(time.Now().Add(p.cfg.CompileTimeout), sink.take); err != nil {
		return fmt.Errorf("compiling: %w", err)
	}
	if err = sink.seal(); err != nil {
		return fmt.Errorf("keeping compiled code: %w", err)
	}
	if err = os.Rename(part, dir); err != nil {
		return fmt.Errorf("keeping compiled code: %w", err)
	}
	return nil
}

// objectSink writes what a compile step sends. The names come from a process that read hostile bytes: they are two plain
// path elements or they are refused.
type objectSink struct {
	dir   string
	name  string
	file  *os.File
	files int
	bytes int
}

func (s *objectSink) take(body []byte) error {
	o, err := wire.ParseObject(body)
	if err != nil {
		return err
	}
	s.bytes += len(o.Data)
	if s.bytes > compiledLimit {
		return casemate.Errorf(casemate.TooLarge, "make the module smaller", "its compiled code is over %d bytes", compiledLimit)
	}
	if o.Name != s.name || s.file == nil {
		if err := s.open(o.Name); err != nil {
			return err
		}
	}
	_, err = s.file.Write(o.Data)
	return err
}

func (s *objectSink) open(name string) error {
	if err := s.shut(); err != nil {
		return err
	}
	if s.files == compiledObjects {
		return fmt.Errorf("%w: more than %d objects", wire.ErrFrame, compiledObjects)
	}
	dir, base, ok := strings.Cut(name, "/")
	if !ok || !plain(dir) || !plain(base) {
		return fmt.Errorf("%w: object %.100q", wire.ErrFrame, name)
	}
	if err := os.MkdirAll(filepath.Join(s.dir, dir), 0o755); err != nil {
		return err
	}
	// O_EXCL: an object comes once, whole.
	f, err := os.OpenFile(filepath.Join(s.dir, dir, base), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o444)
	if err != nil {
		return err
	}
	s.file, s.name = f, name
	s.files++
	return nil
}

func (s *objectSink) shut() error {
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return f.Close()
}

// seal ends the last object and lets the worker's uid read the directory.
func (s *objectSink) seal() error {
	if err := s.shut(); err != nil {
		return err
	}
	if s.files == 0 {
		return fmt.Errorf("%w: no compiled code came", wire.ErrFrame)
	}
	return os.Chmod(s.dir, 0o755)
}

// plain says whether a path element is what the compiler makes: letters, digits, dots and dashes, not hidden.
func plain(s string) bool {
	if s == "" || len(s) > 128 || s[0] == '.' {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// startWorker starts a worker that is ready for events.
func (p *Pool) startWorker(ctx context.Context, f *function) (*link, error) {
	v := f.version
	dir, made, err := p.compile(ctx, v)
	if err != nil {
		return nil, err
	}
	path, release, err := p.cfg.Code(ctx, v)
	if err != nil {
		return nil, fmt.Errorf("fetching the module: %w", err)
	}
	w, err := p.loadWorker(ctx, v, path, dir)
	if err != nil && !made && casemate.CodeOf(err) == casemate.Invalid {
		// The kept code may be damaged, or of another kind of CPU: once, it is made again.
		if err = p.forget(v); err == nil {
			if dir, _, err = p.compile(ctx, v); err == nil {
				w, err = p.loadWorker(ctx, v, path, dir)
			}
		}
	}
	if err != nil {
		release()
		return nil, err
	}
	w.release = release
	return w, nil
}

func (p *Pool) loadWorker(ctx context.Context, v *casemate.Version, path, dir string) (*link, error) {
	limits := limitsOf(v)
	s := &wire.Setup{Pages: pagesOf(limits), Request: uint32(limits.Request), Response: uint32(limits.Response),
		LogBytes: uint32(p.cfg.LogBytes), Keep: keeps(v), Strict: v.Isolation == casemate.IsolationTenant,
		Timeout: int64(limits.Timeout), Begin: int64(limits.InitTimeout / 2)}
	s.Snapshot = min(s.Pages, snapshotPages)
	for k, value := range v.Env {
		s.Env = append(s.Env, k+"="+value)
	}
	began := time.Now()
	spec := &Spec{Module: path, Cache: dir, TmpBytes: 1 << 20, AllowWeak: p.cfg.AllowWeak, FileBytes: int64(s.Pages) * wire.PageSize,
		CPUMillis: v.Limits.CPU,
		MemoryBytes: int64(s.Pages+s.Snapshot)*wire.PageSize + workerMemory + moduleFactor*v.CodeSize +
			2*(limits.Request+limits.Response+wire.SendLimit+wire.FetchedLimit)}
	bound := max(int(limits.Response)+wire.AnswerHeader+wire.DetailLimit, wire.LogChunk, wire.SendLimit) + wire.LengthSize
	w, err := p.startLink(ctx, spec, s, bound)
	if err != nil {
		return nil, err
	}
	w.started = p.cfg.Clock()
	w.logMax = p.cfg.LogBytes + wire.LogChunk // the worker's own remarks on top
	stop := context.AfterFunc(ctx, w.kill)
	defer stop()
	if err = w.await(began.Add(limits.InitTimeout), nil); err != nil {
		w.abandon()
		return nil, err
	}
	w.init = time.Since(began)
	return w, nil
}
