package wasm

import (
	"context"
	"debug/elf"
	"fmt"
	"os"
	"slices"
	"time"

	"casemate/sandbox/jail"
)

// Where a jailed worker finds its things.
const (
	jailWorker = "/" + Argv0
	jailModule = "/module.wasm"
	jailCache  = "/cache"
	jailFresh  = "/tmp/cache" // compile step: a private directory that ends with the jail
)

// Bounds of a worker process beside its memory.
const (
	workerThreads = 64
	workerFiles   = 64
)

// jailer starts workers in jails. It is the path of their executable; empty is this process's own.
type jailer string

// start shows the jail the executable, the module and the compiled code, all read-only, and nothing else.
func (j jailer) start(ctx context.Context, s *Spec) (*Started, error) {
	self := string(j)
	if self == "" {
		own, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("finding the node's executable: %w", err)
		}
		self = own
	}
	spec := jail.Spec{
		Argv:     []string{jailWorker},
		Hostname: "wasm",
		Mounts:   []jail.Mount{{Source: self, Target: jailWorker, Exec: true}, {Source: s.Module, Target: jailModule}},
		Limits: jail.Limits{MemoryBytes: s.MemoryBytes, CPUMillis: s.CPUMillis, Pids: workerThreads, Files: workerFiles, TmpBytes: s.TmpBytes,
			FileBytes: s.FileBytes},
		Profile:   "wasm",
		Files:     []*os.File{s.Conn},
		AllowWeak: s.AllowWeak,
	}
	libraries, err := librariesOf(self)
	if err != nil {
		return nil, err
	}
	spec.Mounts = append(spec.Mounts, libraries...)
	started := &Started{Module: jailModule, Cache: jailFresh}
	if s.Cache == "" {
		// The compile step writes files into its /tmp, which the narrow profile of a running worker has no calls for.
		spec.Profile = "provided"
	} else {
		started.Cache = jailCache
		spec.Mounts = append(spec.Mounts, jail.Mount{Source: s.Cache, Target: jailCache})
	}
	child, err := jail.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	started.Process, started.Walls, started.Weak = jailed{child}, child.Walls, child.Weak
	return started, nil
}

// librariesOf is what an executable needs beside itself: nothing when it is linked statically, as Casemate is built; the
// system's libraries, read-only, when cgo was on (a test binary under the race detector).
func librariesOf(executable string) ([]jail.Mount, error) {
	f, err := elf.Open(executable)
	if err != nil {
		return nil, fmt.Errorf("reading the node's executable: %w", err)
	}
	defer f.Close()
	if !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return nil, nil
	}
	var mounts []jail.Mount
	for _, dir := range [...]string{"/lib", "/lib64", "/usr/lib", "/usr/lib64"} {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			mounts = append(mounts, jail.Mount{Source: dir, Target: dir, Exec: true})
		}
	}
	return mounts, nil
}

// jailed is a jail's child as a Process.
type jailed struct{ child *jail.Child }

// PID implements Gauge.
func (j jailed) PID() int { return j.child.Pid() }

// Memory implements Gauge.
func (j jailed) Memory() (now, peak int64) {
	u, _ := j.child.Usage() // of one that is ending there is nothing to say
	return j.child.Memory(), u.PeakBytes
}

// CPU implements Gauge.
func (j jailed) CPU() time.Duration {
	u, _ := j.child.Usage()
	return u.CPU
}

// Kill implements Process.
func (j jailed) Kill() {
	// Wait says what came of it.
	_ = j.child.Kill()
}

// Wait implements Process.
func (j jailed) Wait() Exit {
	exit, err := j.child.Wait()
	if closing := j.child.Close(); err == nil {
		err = closing
	}
	e := Exit{Reason: exit.Signal, OOM: exit.OOM}
	if usage, err := j.child.Usage(); err == nil {
		e.CPU = usage.CPU
	}
	if e.Reason == "" {
		e.Reason = fmt.Sprintf("exit status %d", exit.Code)
	}
	if err != nil {
		e.Reason += ": " + err.Error()
	}
	return e
}
