package sandbox

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
	"casemate/lambda"
	"casemate/sandbox/jail"
)

// apiAddress is where the Runtime API is inside every sandbox: the address that Lambda itself uses.
const apiAddress = "169.254.100.1:9001"

// taskDir is where the code of a function is.
const taskDir = "/var/task"

// insideUID is what a program sees itself as where the jail has a user namespace of its own.
const insideUID = 1051

// userlandDirs are the host's own folders that a sandbox sees, read-only: what a distribution put there. /usr/local and
// everything else that an operator may have filled is left out.
var userlandDirs = [...]string{"/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/share", "/bin", "/lib", "/lib32", "/lib64"}

// userland says how the host's system folders appear in a sandbox. It is read once.
type userland struct {
	mounts []jail.Mount
	links  map[string]string
}

// readUserland follows the host: where /bin is a link to usr/bin it is one inside, too.
func readUserland() userland {
	u := userland{links: map[string]string{}}
	for _, dir := range userlandDirs {
		info, err := os.Lstat(dir)
		switch {
		case err != nil:
		case info.IsDir():
			u.mounts = append(u.mounts, jail.Mount{Source: dir, Target: dir, Exec: true})
		case info.Mode()&os.ModeSymlink != 0:
			if to, err := os.Readlink(dir); err == nil && strings.HasPrefix(strings.TrimPrefix(to, "/"), "usr/") {
				u.links[dir] = to
			}
		}
	}
	if info, err := os.Stat("/etc/ssl/certs"); err == nil && info.IsDir() {
		u.mounts = append(u.mounts, jail.Mount{Source: "/etc/ssl/certs", Target: "/etc/ssl/certs"})
	}
	return u
}

// program is how a version's runtime starts.
type program struct {
	argv    []string
	profile string
	mounts  []jail.Mount
	etc     map[string][]byte
	wraps   string // the interpreter, when argv begins with a wrapper
	note    string // said in the log when another interpreter version runs than was asked for
}

// entryError is code that cannot be started: the function's own fault, told in the platform's words.
type entryError struct{ body lambda.ErrorBody }

func (e *entryError) Error() string { return e.body.Message }

// program finds what to execute for a version.
func (p *Pool) program(n *need) (program, error) {
	v := n.version
	if v.Runtime.Family() == "provided" {
		return provided(n)
	}
	i, note, err := p.cfg.Interpreters.Choose(v.Runtime)
	if err != nil {
		return program{}, err
	}
	pr := program{note: note}
	var exe string
	exe, pr.mounts = i.inside()
	switch i.Family {
	case "nodejs":
		pr.profile = "node"
		flags, files := heap(limits(v).MemoryMB)
		pr.argv, pr.etc = n.withDebugger(i.Family, append(append([]string{exe}, flags...), "/var/runtime/index.js")), files
		pr.mounts = append(append(pr.mounts, jail.Mount{Source: filepath.Join(p.bootstraps, "node"), Target: "/var/runtime"}), p.sdk()...)
	case "python":
		pr.profile = "python"
		pr.argv = n.withDebugger(i.Family, []string{exe, "-I", "-S", "-u", "/var/runtime/bootstrap.py"})
		pr.mounts = append(pr.mounts, jail.Mount{Source: filepath.Join(p.bootstraps, "python"), Target: "/var/runtime"})
	default:
		return pr, casemate.Errorf(casemate.Invalid, "use nodejs, python, provided or wasm", "unknown runtime %q", v.Runtime)
	}
	return wrapped(pr, n)
}

// heap says how Node learns what its heap may be: by flags, or by files that it reads as the limits of its cgroup. Any
// heap flag makes V8 throw away the compiled code that Node is built with, a quarter of its start. The files cannot say
// everything: V8 takes half of the memory that it sees for old objects and a 128th of that for young ones
// (Heap::HeapSizeFromPhysicalMemory), but at most 2 GiB. Showing at least 2 GiB keeps the young part wide enough, so that
// garbage is found while it is young; the wall itself is the cgroup's either way. Small and large functions get flags:
// the heap of nine tenths that they have on Lambda.
func heap(memoryMB int) (flags []string, files map[string][]byte) {
	if memoryMB < 128 || memoryMB > 2048 {
		return []string{"--max-old-space-size=" + strconv.Itoa(max(memoryMB*9/10, 16)),
			"--max-semi-space-size=" + strconv.Itoa(max(memoryMB/20, 1))}, nil
	}
	shown := fmt.Appendf(nil, "%d\n", int64(max(memoryMB*2*9/10, 2048))<<20)
	files = map[string][]byte{}
	for _, name := range []string{"memory.max", "memory.high", "memory/memory.limit_in_bytes", "memory/memory.soft_limit_in_bytes"} {
		files["/sys/fs/cgroup/"+name] = shown
	}
	return nil, files
}

// wrapped puts AWS_LAMBDA_EXEC_WRAPPER in front. One that is not there fails as the shell's exec would.
func wrapped(pr program, n *need) (program, error) {
	wrapper := n.version.Env["AWS_LAMBDA_EXEC_WRAPPER"]
	if wrapper == "" {
		return pr, nil
	}
	if !executable(n.inside(wrapper)) {
		return pr, &entryError{lambda.Exited(n.request, "exit status 127")}
	}
	pr.argv, pr.wraps = append([]string{filepath.Clean(wrapper)}, pr.argv...), pr.argv[0]
	return pr, nil
}

// provided finds the bootstrap of a custom runtime: its code's own, or that of a layer.
func provided(n *need) (program, error) {
	for _, at := range []string{taskDir + "/bootstrap", optDir + "/bootstrap"} {
		file := n.inside(at)
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			continue
		}
		if !executable(file) {
			return program{}, &entryError{lambda.NoEntrypoint(n.request, "fork/exec "+at+": permission denied")}
		}
		return program{argv: []string{at}, profile: "provided"}, nil
	}
	return program{}, &entryError{lambda.NoEntrypoint(n.request, "")}
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o001 != 0
}

// inside gives an interpreter's path in a sandbox and what must be mounted for it. One from the system's folders is
// there already; of one from elsewhere only its own parts appear, under /var/lang.
func (i Interpreter) inside() (string, []jail.Mount) {
	name := filepath.Base(i.Path)
	if dir := filepath.Dir(i.Path); dir == "/usr/bin" || dir == "/bin" {
		return i.Path, nil
	}
	exe := langDir + "/bin/" + name
	mounts := []jail.Mount{{Source: i.Path, Target: exe, Exec: true}}
	if i.Family != "python" {
		return exe, mounts
	}
	version := strings.Split(i.Version, ".")
	library := "python" + version[0] + "." + version[1]
	mounts = append(mounts, jail.Mount{Source: filepath.Join(i.prefix, "lib", library), Target: langDir + "/lib/" + library, Exec: true})
	shared, _ := filepath.Glob(filepath.Join(i.prefix, "lib", "libpython"+version[0]+"*.so*")) // only a bad pattern fails
	for _, so := range shared {
		if info, err := os.Lstat(so); err == nil && info.Mode().IsRegular() {
			mounts = append(mounts, jail.Mount{Source: so, Target: langDir + "/lib/" + filepath.Base(so), Exec: true})
		}
	}
	return exe, mounts
}

// base describes what the jail of every sandbox has, whoever gets it. uid is its own on a node that runs as root.
//
// The folders "lib" of its places are there because ld.so remembers for the whole life of a process which folders of
// LD_LIBRARY_PATH were missing when it looked for its first library: an interpreter that waits would never look into those
// of the code and the layers that it gets (elf/dl-load.c of glibc, open_path).
func (p *Pool) base(uid int) jail.Spec {
	return jail.Spec{
		Hostname: "sandbox", Symlinks: p.userland.links, UID: uid, Listen: []string{"tcp " + apiAddress}, AllowWeak: p.cfg.AllowWeak,
		Mounts: slices.Clone(p.userland.mounts), Places: []string{optDir, optDir + "/lib"},
		Etc: map[string][]byte{
			"/etc/passwd": fmt.Appendf(nil, "root:x:0:0::/:/bin/false\nsbx_user1051:x:%d:%d::/tmp:/bin/false\nsbx_user:x:%d:%d::/tmp:/bin/false\n",
				uid, uid, insideUID, insideUID),
			"/etc/group":         fmt.Appendf(nil, "root:x:0:\nsbx_user1051:x:%d:\nsbx_user:x:%d:\n", uid, insideUID),
			"/etc/hosts":         []byte("127.0.0.1 localhost sandbox.localdomain\n::1 localhost\n"),
			"/etc/nsswitch.conf": []byte("passwd: files\ngroup: files\nhosts: files dns\n"),
		},
	}
}

// spec describes the whole jail of one sandbox.
func (p *Pool) spec(n *need, uid int) jail.Spec {
	s, a := p.base(uid), p.assignment(n)
	s.Argv, s.Env, s.Dir, s.Profile, s.Limits = a.Argv, a.Env, a.Dir, a.Profile, a.Limits
	s.Mounts = append(s.Mounts, a.Mounts...)
	s.Listen = append(s.Listen, a.Listen...)
	s.OnConnect, s.OnCall, s.Children, s.Wrapped, s.Own = a.OnConnect, a.OnCall, a.Children, a.Wrapped, a.Own
	maps.Copy(s.Etc, a.Etc)
	return s
}

// assignment is what a sandbox gets on top of its base, all of it.
func (p *Pool) assignment(n *need) jail.Assignment {
	l, pr := limits(n.version), n.program
	a := jail.Assignment{
		Argv: pr.argv, Env: p.variables(n, 3), Dir: taskDir, Profile: pr.profile,
		Mounts: append(n.shared(), pr.mounts...), Etc: map[string][]byte{},
		Limits:    jail.Limits{MemoryBytes: int64(l.MemoryMB) << 20, CPUMillis: l.CPU, Pids: l.Pids, Files: l.Files, TmpBytes: int64(l.TmpMB) << 20},
		OnConnect: p.onConnect(n), OnCall: p.onCall(n), Wrapped: pr.wraps,
	}
	p.programs(n, &a)
	maps.Copy(a.Etc, pr.etc)
	if n.door != nil {
		way := n.door.Doorway()
		a.Listen = way.Listen
		maps.Copy(a.Etc, way.Etc)
	}
	return a
}

// variables is the whole environment of a function; those of its door win. logFD is the descriptor of the framed log.
func (p *Pool) variables(n *need, logFD int) []string {
	env := append(lambda.Environment(p.environment(n.version)), "_LAMBDA_TELEMETRY_LOG_FD="+strconv.Itoa(logFD))
	slices.Sort(env)
	if n.door == nil || len(n.door.Doorway().Env) == 0 {
		return env
	}
	door := n.door.Doorway().Env
	env = slices.DeleteFunc(env, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		_, replaced := door[name]
		return replaced
	})
	if to := door["AWS_ENDPOINT_URL"]; to != "" {
		p.leadQueues(env, to)
	}
	for name, value := range door {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

// leadQueues has the URLs of the account's queues, as Ref of a template gives them, lead to the endpoint: SDKs for JavaScript ask
// the host of a queue's URL and not AWS_ENDPOINT_URL.
func (p *Pool) leadQueues(env []string, endpoint string) {
	account := "/" + p.cfg.Place.Account + "/"
	aws := "https://sqs." + p.cfg.Place.Region + ".amazonaws.com" + account
	for i, entry := range env {
		env[i] = strings.ReplaceAll(entry, aws, endpoint+account)
	}
}

// environment fills in a function's variables. The credentials are random and new for each sandbox: SDKs do not start
// without some, and nothing anywhere accepts these.
func (p *Pool) environment(v *casemate.Version) lambda.Sandbox {
	logging := casemate.Logging{}
	if v.Logging.JSON() {
		logging = *v.Logging
	}
	var random [16]byte
	rand.Read(random[:]) // never fails
	version := v.Name()
	return lambda.Sandbox{
		Runtime: string(v.Runtime), Handler: v.Handler, Function: v.Function, Version: version,
		MemoryMB: limits(v).MemoryMB, Region: p.cfg.Place.Region, API: apiAddress,
		LogStream: lambda.LogStream(p.cfg.Clock(), version, hex.EncodeToString(random[:])),
		KeyID:     "ASIA" + rand.Text()[:16], Secret: token(30), Token: token(96), Customer: v.Env,
		LogFormat: logging.Format, LogLevel: logging.Level, AtOnce: atOnce(v),
	}
}

func token(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return base64.StdEncoding.EncodeToString(b)
}

// timeoutBody is what the caller of a run sees that was killed at its deadline.
func timeoutBody(request string, limit time.Duration) []byte {
	return lambda.TimedOut(request, limit).JSON()
}
