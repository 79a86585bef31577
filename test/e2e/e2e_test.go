package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"casemate/internal/casetest/authority"
	"casemate/internal/casetest/product"
)

// stage is what all scripts share: it is built once.
type stage struct {
	bin      string            // folder of the binary that scripts call: the command line
	node     string            // the same with the race detector: what is served by
	guest    string            // folder with the guest of guest/, as guest/bootstrap
	shop     string            // examples/orders with its functions built
	runtimes []string          // families that this machine has
	weak     bool              // the kernel does not give every wall
	goenv    map[string]string // so that build commands find modules and caches
}

var shared stage

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "casemate-e2e-")
	if err != nil {
		log.Print(err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv("GORACE", gorace); err != nil {
		log.Print(err)
		return 1
	}
	bench.dir = filepath.Join(dir, "sdk")
	if err := shared.build(dir); err != nil {
		log.Print(err)
		return 1
	}
	return m.Run()
}

func (s *stage) build(dir string) error {
	s.bin, s.guest, s.shop = filepath.Join(dir, "bin"), filepath.Join(dir, "guest"), filepath.Join(dir, "shop")
	s.node = filepath.Join(dir, "node", "casemate")
	out, err := exec.Command("go", "env", "-json", "GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOTOOLCHAIN", "CC").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	if err := json.Unmarshal(out, &s.goenv); err != nil {
		return err
	}
	const wazevo = "-gcflags=github.com/tetratelabs/wazero/internal/engine/wazevo/"
	race := []string{"-race", wazevo + "ssa=-race=false", wazevo + "backend/...=-race=false"} // as scripts/gotest says
	if _, err := exec.LookPath(s.goenv["CC"]); err != nil {
		log.Print("*** no C compiler: the node runs without the race detector ***")
		race = nil
	}
	delete(s.goenv, "CC")
	if err := product.Casemate(s.bin + "/casemate"); err != nil { // a verb packs a bundle twenty times as fast unwatched, and shares nothing
		return err
	}
	small := []string{"-ldflags", "-s -w"}
	native, wasm := []string{"CGO_ENABLED=0", "GOOS=linux"}, []string{"GOOS=wasip1", "GOARCH=wasm"}
	if err := os.CopyFS(s.shop, os.DirFS("../../examples/orders")); err != nil {
		return err
	}
	for _, b := range []struct {
		out, pkg string
		env      []string
		flags    []string
	}{
		{s.node, "../../cmd/casemate", nil, race},
		{s.guest + "/guest/bootstrap", "./guest", native, small},
		{s.shop + "/build/price.wasm", "../../examples/orders/price", wasm, nil},
		{s.shop + "/build/receipt/bootstrap", "../../examples/orders/receipt", native, small},
		{s.shop + "/build/unruly/bootstrap", "../../examples/orders/unruly", native, small},
	} {
		cmd := exec.Command("go", slices.Concat([]string{"build", "-trimpath"}, b.flags, []string{"-o", b.out, b.pkg})...)
		cmd.Env = append(os.Environ(), b.env...)
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", b.pkg, err, text)
		}
	}
	return s.diagnose()
}

// diagnose asks the product itself what this machine has.
func (s *stage) diagnose() error {
	out, err := exec.Command(s.bin+"/casemate", "doctor", "--json").Output()
	var d struct {
		Ready    bool
		Runtimes []struct{ Family string }
	}
	if jerr := json.Unmarshal(out, &d); jerr != nil {
		return fmt.Errorf("casemate doctor: %w, %w", err, jerr)
	}
	if s.weak = !d.Ready; s.weak {
		log.Print("*** this kernel does not give every wall: the nodes run with --allow-weak-sandbox ***")
	}
	for _, r := range d.Runtimes {
		s.runtimes = append(s.runtimes, r.Family)
	}
	return nil
}

// world is what one script has.
type world struct {
	ctx       context.Context
	t         testscript.T
	node      *nodeProcess
	issuer    *issuer
	login     *login
	collector *collector
	authority *authority.Authority
	browsers  map[string]*browser
}

// gorace makes a race end the process. Without one, nothing is waited for at the end.
const gorace = "halt_on_error=1 exitcode=66 atexit_sleep_ms=0"

type worldKey struct{}

func of(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func TestScripts(t *testing.T) {
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok { // time to say what was awaited in vain
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-20*time.Second))
		t.Cleanup(cancel)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Condition: condition,
		Setup:     func(env *testscript.Env) error { return setup(ctx, env) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"up": up, "down": down, "http": httpCommand, "raw": raw, "json": jsonCommand, "header": header, "await": await, "until": until, "exit": exit,
			"replace": replace, "certificate": certificateCommand, "jwt": jwt, "sign": sign, "login": loginCommand, "make": makeCommand, "collector": collectorCommand, "authority": authorityCommand, "outside": outsideCommand,
			"sdk": sdk, "totp": totp, "courier": courier, "module": module, "signed": signed, "browser": browserCommand, "flood": flood,
		},
	})
}

func setup(ctx context.Context, env *testscript.Env) error {
	// A unix socket's path has 107 bytes at most, and a test's own folder may be deep.
	dir, err := os.MkdirTemp("/tmp", "cm")
	if err != nil {
		return err
	}
	env.Defer(func() { os.RemoveAll(dir) })
	env.Values[worldKey{}] = &world{ctx: ctx, t: env.T()}
	env.Setenv("PATH", shared.bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	for name, value := range shared.goenv {
		env.Setenv(name, value)
	}
	env.Setenv("GOFLAGS", "-mod=mod")
	env.Setenv("HOME", os.Getenv("HOME")) // version managers of node and python look there
	env.Setenv("TZ", "UTC")
	env.Setenv("GORACE", gorace)
	env.Setenv("CASEMATE_DIR", dir)
	env.Setenv("SOCKET", filepath.Join(dir, "casemate.sock"))
	if shared.weak {
		env.Setenv("WEAK", "--allow-weak-sandbox") // for nodes that a script starts itself
	}
	env.Setenv("GUEST", shared.guest)
	env.Setenv("SHOP", shared.shop)
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		return err
	}
	env.Setenv("EXAMPLES", examples)
	env.Setenv("PAGE", filepath.Join(filepath.Dir(examples), "test/e2e/page"))
	env.Setenv("SOON", time.Now().AddDate(0, 1, 0).UTC().Format(time.DateOnly))
	return os.CopyFS(filepath.Join(env.WorkDir, "shop"), os.DirFS(shared.guest))
}

// condition is [has:FAMILY]: whether this machine has a runtime, or "clang", a C compiler for WASI. On CI none may be missing; elsewhere it is said aloud.
func condition(cond string) (bool, error) {
	if language, ok := strings.CutPrefix(cond, "sdk:"); ok {
		return hasSDK(language)
	}
	if cond == "full" { // make full
		return os.Getenv("CASEMATE_FULL") != "", nil
	}
	family, ok := strings.CutPrefix(cond, "has:")
	if !ok {
		return false, fmt.Errorf("there is no condition %q", cond)
	}
	if slices.Contains(shared.runtimes, family) || family == "clang" && compilesWASI() || family == "chromium" && hasBrowser() {
		return true, nil
	}
	return missing("what needs "+family, "it is not installed on this machine")
}

func hasBrowser() bool {
	if _, err := exec.LookPath("node"); err != nil {
		return false
	}
	return slices.ContainsFunc([]string{"chromium", "chromium-browser", "google-chrome"}, func(name string) bool {
		_, err := exec.LookPath(name)
		return err == nil
	})
}

func compilesWASI() bool {
	_, compiler := exec.LookPath("clang")
	_, linker := exec.LookPath("wasm-ld")
	_, library := os.Stat("/usr/lib/wasm32-wasi")
	return errors.Join(compiler, linker, library) == nil
}

// missing leaves a part out: aloud, and never on CI.
func missing(what, why string) (bool, error) {
	if os.Getenv("CI") == "true" {
		return false, fmt.Errorf("%s: %s, and CI has to have it", what, why)
	}
	log.Printf("*** LEFT OUT: %s, because %s ***", what, why)
	return false, nil
}

// replace changes a file; what is replaced has to be there.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	name := ts.MkAbs(args[0])
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(name, []byte(strings.ReplaceAll(text, args[1], args[2])), 0o644))
}

func put(ts *testscript.TestScript, text string) {
	_, err := io.WriteString(ts.Stdout(), text)
	ts.Check(err)
}
