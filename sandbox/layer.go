package sandbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"casemate"
	"casemate/lambda"
	"casemate/sandbox/first"
	"casemate/sandbox/jail"
)

// optDir is where the layers of a function are.
const optDir = "/opt"

// extensionsDir is where layers bring programs that run beside a function.
const extensionsDir = optDir + "/extensions"

// layers fetches what a version has at /opt, and finds the extensions there.
func (p *Pool) layers(ctx context.Context, n *need) error {
	if len(n.version.Layers) == 0 {
		return nil
	}
	if p.cfg.Layers == nil {
		return casemate.Errorf(casemate.Unavailable, "ask the operator", "this node unpacks no layers")
	}
	opt, release, err := p.cfg.Layers(ctx, n.version)
	if err != nil {
		return fmt.Errorf("fetching the layers: %w", err)
	}
	code := n.release
	n.opt, n.release = opt, func() { release(); code() }
	if n.extensions, err = extensionsIn(opt); err != nil {
		return fmt.Errorf("looking for extensions: %w", err)
	}
	if len(n.extensions) > casemate.MaxExtensions {
		return &entryError{lambda.ErrorBody{Type: "Extension.TooManyExtensions", Message: fmt.Sprintf("RequestId: %s Error: %d extensions, at most %d", n.request, len(n.extensions), casemate.MaxExtensions)}}
	}
	return nil
}

// extensionsIn lists the executables that Lambda would start, by their paths inside a sandbox.
func extensionsIn(opt string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(opt, "extensions"))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		if executable(filepath.Join(opt, "extensions", e.Name())) {
			list = append(list, extensionsDir+"/"+e.Name())
		}
	}
	slices.Sort(list)
	return list, nil
}

// inside finds a path of the sandbox in a function's own folders on the host; "" when it lies in none of them.
func (n *need) inside(file string) string {
	file = filepath.Clean(file)
	if rest, ok := strings.CutPrefix(file, taskDir+"/"); ok {
		return filepath.Join(n.dir, rest)
	}
	if rest, ok := strings.CutPrefix(file, optDir+"/"); ok && n.opt != "" {
		return filepath.Join(n.opt, rest)
	}
	return ""
}

// shared are the mounts of a function's own folders.
func (n *need) shared() []jail.Mount {
	mounts := []jail.Mount{{Source: n.dir, Target: taskDir, Exec: true}}
	if n.opt != "" {
		mounts = append(mounts, jail.Mount{Source: n.opt, Target: optDir, Exec: true})
	}
	return mounts
}

// programs says what a sandbox may execute besides its runtime: what the version lists and its extensions. What lies in
// the function's own folders is fixed by the digest of the code; what lies elsewhere has a digest of its own.
func (p *Pool) programs(n *need, a *jail.Assignment) {
	for _, c := range n.version.Children {
		if c.SHA256 == "" && n.inside(c.Path) != "" {
			a.Own = append(a.Own, c.Path)
			continue
		}
		a.Children = append(a.Children, jail.Program(c))
	}
	if !n.attended() {
		return
	}
	a.Own = append(append(a.Own, n.extensions...), a.Argv[0])
	a.Argv = append(append(append([]string{first.Path}, n.extensions...), first.Separator), a.Argv...)
	a.Profile = "provided" // extensions are programs of any kind; it allows what the others do
	a.Mounts = append(a.Mounts, jail.Mount{Source: p.self, Target: first.Path, Exec: true})
}
