package module

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// specCommand is one line of the specification's own tests, in the form that wast2json writes.
type specCommand struct {
	Type       string
	Line       int
	Filename   string
	ModuleType string `json:"module_type"`
	Text       string
	Action     struct {
		Type, Field, Module string
		Args                []struct {
			Type  string
			Value any
		}
	}
}

// TestSpecification runs the tests of WebAssembly 1.0 and 2.0, which the engine's module carries, over what the rewriter makes of
// their modules: an original and its rewritten form are given the same calls, and must answer, trap and leave their memory alike;
// a module that is not valid must not become valid. Modules that import are left out.
func TestSpecification(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatal(err)
	}
	versions := "v2" // which has nearly all of 1.0 as well
	if os.Getenv("CASEMATE_FULL") != "" {
		versions = "v*"
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "internal/integration_test/spectest", versions, "testdata/*.json"))
	if err != nil || len(files) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no tests of the specification: %v", err)
		}
		t.Skip("NOTHING IS TESTED: the engine's module has no tests of the specification")
	}
	// The interpreter: compiling thousands of little modules is not the point.
	s := &spec{t: t, plain: newRuntime(t, wazero.NewRuntimeConfigInterpreter()), metered: newRuntime(t, wazero.NewRuntimeConfigInterpreter())}
	for _, f := range files {
		s.file(f)
	}
	t.Logf("%d modules, %d refused for their imports, %d calls, %d not valid", s.modules, s.imports, s.calls, s.invalid)
	if s.modules < 500 || s.calls < 20_000 || s.invalid < 2000 {
		t.Error("most of the tests were left out")
	}
}

type spec struct {
	t                                *testing.T
	plain, metered                   wazero.Runtime
	modules, imports, calls, invalid int
	original, rewritten              api.Module
	memory                           bool // they have one
}

func (s *spec) file(path string) {
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	var script struct{ Commands []specCommand }
	if err := json.Unmarshal(b, &script); err != nil {
		s.t.Fatal(err)
	}
	s.original, s.rewritten = nil, nil
	for _, c := range script.Commands {
		where := filepath.Base(path) + ":" + strconv.Itoa(c.Line)
		switch c.Type {
		case "module":
			s.instantiate(where, filepath.Join(filepath.Dir(path), c.Filename))
		case "assert_invalid", "assert_malformed":
			if c.ModuleType == "binary" {
				s.refuses(where, filepath.Join(filepath.Dir(path), c.Filename))
			}
		case "action", "assert_return", "assert_trap":
			if c.Action.Type == "invoke" && c.Action.Module == "" && s.original != nil {
				s.call(where, c)
			}
		}
	}
	s.leave(filepath.Base(path) + ", its end")
}

func (s *spec) instantiate(where, path string) {
	s.leave(where)
	s.original, s.rewritten = nil, nil
	code, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	prepared, memory, err := rewriteAny(code)
	s.memory = memory
	if err != nil {
		// One module writes the number of an instruction longer than it need be, to see whether a reader minds. This one does.
		if s.imports++; !strings.Contains(err.Error(), "the module imports") && !strings.HasSuffix(err.Error(), "0xfc 0x80") {
			s.t.Errorf("%s: refused: %v", where, err)
		}
		return
	}
	s.modules++
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	a, errA := s.plain.InstantiateWithConfig(context.Background(), code, config)
	b, errB := s.metered.InstantiateWithConfig(context.Background(), prepared, config)
	if (errA == nil) != (errB == nil) {
		s.t.Errorf("%s: %v, rewritten: %v", where, errA, errB)
	}
	if errA == nil && errB == nil {
		s.original, s.rewritten = a, b
	}
}

// rewriteAny is Prepare for modules that no worker could call.
func rewriteAny(code []byte) (prepared []byte, memory bool, err error) {
	if err := inspectHeader(code); err != nil {
		return nil, false, err
	}
	r := rewriter{in: &inspection{}}
	if err := r.in.sections(code[8:]); err != nil {
		return nil, false, err
	}
	r.read(code[8:])
	if err := r.rewrite(); err != nil {
		return nil, false, err
	}
	return r.bytes(code[:8]), r.in.memories > 0, nil
}

func (s *spec) refuses(where, path string) {
	code, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.invalid++
	prepared, _, err := rewriteAny(code)
	if err != nil {
		return
	}
	if _, err = s.metered.CompileModule(context.Background(), prepared); err == nil {
		// Some the engine itself takes, as they came.
		if _, err = s.plain.CompileModule(context.Background(), code); err != nil {
			s.t.Errorf("%s: it became valid, and was not: %v", where, err)
		}
	}
}

func (s *spec) call(where string, c specCommand) {
	var args []uint64
	for _, a := range c.Action.Args {
		text, ok := a.Value.(string)
		v, err := strconv.ParseUint(text, 10, 64)
		if !ok || err != nil || a.Type == "externref" || a.Type == "funcref" {
			return
		}
		args = append(args, v)
	}
	a, b := s.original.ExportedFunction(c.Action.Field), s.rewritten.ExportedFunction(c.Action.Field)
	if a == nil || b == nil {
		s.t.Fatalf("%s: no function %q", where, c.Action.Field)
	}
	s.calls++
	want, errA := a.Call(context.Background(), args...)
	got, errB := b.Call(context.Background(), args...)
	if line(errA) != line(errB) {
		s.t.Errorf("%s: %v, rewritten: %v", where, errA, errB)
		return
	}
	// References are addresses.
	if !slices.ContainsFunc(a.Definition().ResultTypes(), isReference) && !slices.Equal(want, got) {
		s.t.Errorf("%s: %x, rewritten: %x", where, want, got)
	}
}

// leave compares what the calls have left.
func (s *spec) leave(where string) {
	if s.original == nil {
		return
	}
	defer s.original.Close(context.Background())
	defer s.rewritten.Close(context.Background())
	if !s.memory {
		return
	}
	x, _ := s.original.Memory().Read(0, s.original.Memory().Size())
	y, _ := s.rewritten.Memory().Read(0, s.rewritten.Memory().Size())
	if !bytes.Equal(x, y) {
		s.t.Errorf("before %s: the memory differs", where)
	}
}

func line(err error) string {
	if err == nil {
		return ""
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}
