package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"casemate"
)

// langDir is where an interpreter from outside the system's own folders appears inside a sandbox, so that no path of
// the host shows.
const langDir = "/var/lang"

// Interpreter is one language runtime that the host has.
type Interpreter struct {
	Family  string `json:"family"`  // "nodejs" or "python"
	Version string `json:"version"` // "20.20.2"
	Path    string `json:"-"`       // on the host, links resolved
	prefix  string // of a Python installation on the host
}

// Interpreters are all that the host has, newest first within a family.
type Interpreters []Interpreter

// Runtimes looks for interpreters on PATH and in the system's own folders. Only native executables that nobody but root
// or the node's own user can replace are considered, and each is started once, with an empty environment, to say its
// version. The search takes a few hundred milliseconds; keep its result.
func Runtimes(ctx context.Context) Interpreters {
	var found Interpreters
	seen := map[string]bool{}
	for _, file := range candidates() {
		real, err := filepath.EvalSymlinks(file)
		if err != nil || seen[real] || !trusted(real) {
			continue
		}
		seen[real] = true
		if i, ok := ask(ctx, real); ok {
			found = append(found, i)
		}
	}
	slices.SortStableFunc(found, func(a, b Interpreter) int {
		if c := strings.Compare(a.Family, b.Family); c != 0 {
			return c
		}
		return compareVersions(b.Version, a.Version)
	})
	return found
}

// candidates lists files with an interpreter's name: PATH first, in its order.
func candidates() []string {
	dirs := append(filepath.SplitList(os.Getenv("PATH")), "/usr/local/bin", "/usr/bin")
	for _, d := range slices.Clone(dirs) {
		if filepath.Base(d) == "shims" { // of a version manager: scripts that lead to ../versions/*/bin
			more, _ := filepath.Glob(filepath.Join(filepath.Dir(d), "versions", "*", "bin")) // only a bad pattern fails
			dirs = append(dirs, more...)
		}
	}
	var files []string
	for _, d := range dirs {
		if !filepath.IsAbs(d) {
			continue
		}
		for _, name := range []string{"node", "python3", "python3.[0-9]", "python3.[0-9][0-9]"} {
			more, _ := filepath.Glob(filepath.Join(d, name))
			files = append(files, more...)
		}
	}
	return files
}

// trusted refuses scripts, and whatever somebody else on the machine could have put or can change there.
func trusted(file string) bool {
	for _, p := range []string{file, filepath.Dir(file)} {
		info, err := os.Stat(p)
		if err != nil || info.Mode().Perm()&0o022 != 0 {
			return false
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid() {
			return false
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	magic := make([]byte, 4)
	_, err = f.Read(magic)
	return err == nil && string(magic) == "\x7fELF"
}

var versionLine = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)$`)

// ask starts an interpreter to learn its version and, of Python, its prefix. Too old ones for our bootstraps are left out.
func ask(ctx context.Context, file string) (Interpreter, bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	i := Interpreter{Family: "nodejs", Path: file}
	args, oldest := []string{"--version"}, "16.0.0"
	if strings.HasPrefix(filepath.Base(file), "python") {
		i.Family, oldest = "python", "3.8.0"
		args = []string{"-I", "-S", "-c", `import sys; print("%d.%d.%d" % sys.version_info[:3]); print(sys.base_prefix)`}
	}
	cmd := exec.CommandContext(ctx, file, args...)
	cmd.Env, cmd.Dir = []string{}, "/"
	out, err := cmd.Output()
	if err != nil {
		return i, false
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	m := versionLine.FindSubmatch(lines[0])
	if m == nil || compareVersions(string(m[1]), oldest) < 0 {
		return i, false
	}
	i.Version = string(m[1])
	if i.Family == "python" {
		if len(lines) != 2 || !filepath.IsAbs(string(lines[1])) {
			return i, false
		}
		i.prefix = string(lines[1])
	}
	return i, true
}

func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, _ := strconv.Atoi(as[i]) // the caller matched digits
		y, _ := strconv.Atoi(bs[i])
		if x != y {
			return x - y
		}
	}
	return len(as) - len(bs)
}

// Choose picks the interpreter for a runtime: the version asked for, else the nearest newer one, else the newest. note
// says so when it is another version. A family that the host does not have is an error of code Unavailable.
func (is Interpreters) Choose(r casemate.Runtime) (i Interpreter, note string, err error) {
	family := r.Family()
	wanted := strings.TrimSuffix(strings.TrimPrefix(string(r), family), ".x")
	var best *Interpreter
	for k := range is {
		c := &is[k]
		if c.Family != family {
			continue
		}
		if sameVersion(c.Version, wanted) {
			return *c, "", nil
		}
		newer := wanted != "" && compareVersions(c.Version, wanted) > 0
		if best == nil || newer { // newest first: the last newer one is the nearest
			best = c
		}
	}
	if best == nil {
		name := map[string]string{"nodejs": "Node.js", "python": "Python 3"}[family]
		if name == "" {
			return i, "", casemate.Errorf(casemate.Invalid, "use nodejs, python, provided or wasm", "unknown runtime %q", r)
		}
		return i, "", casemate.Errorf(casemate.Unavailable,
			"install "+name+" from the distribution's packages, or put it on PATH in a folder only root can write to, and start the node again",
			"this node has no %s for runtime %s", name, r)
	}
	return *best, fmt.Sprintf("runtime %s runs on %s %s, the nearest version of this node", r, family, best.Version), nil
}

func sameVersion(have, wanted string) bool {
	return wanted != "" && (have == wanted || strings.HasPrefix(have, wanted+"."))
}
