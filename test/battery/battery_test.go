package battery

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate/deploy/manifest"
	"casemate/internal/casetest/nodetest"
	"casemate/internal/casetest/product"
)

// Names of what build makes.
const (
	withWalls    = "casemate"
	withoutWalls = "casemate-nowalls"
	guestName    = "bootstrap"
)

// build makes both binaries and the guest, outside of the cell, where modules can be fetched.
func build(dir string) error {
	if err := product.Casemate(filepath.Join(dir, withWalls)); err != nil {
		return err
	}
	module := []string{"GOOS=wasip1", "GOARCH=wasm"}
	for _, b := range []struct {
		name string
		env  []string
		args []string
	}{
		{withoutWalls, nil, []string{"-tags", "nowalls", "../../cmd/casemate"}},
		{guestName, nil, []string{"./guest"}},
		{"rewound.wasm", module, []string{"-buildmode=c-shared", "./rewound"}},
		{"command.wasm", module, []string{"./rewound"}},
	} {
		args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, b.name)}, b.args...)
		cmd := exec.Command("go", args...)
		cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), b.env...)
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", b.name, err, text)
		}
	}
	return nil
}

// stage is what all tests share.
type stage struct {
	dir   string // with the binaries
	guest []byte
	weak  bool // the kernel does not give every wall
	full  bool
	world *world
}

var shared stage

func prisoner(m *testing.M) int {
	shared.dir, shared.full = os.Getenv(dirVariable), os.Getenv("CASEMATE_FULL") == "1"
	var err error
	if shared.guest, err = zipped(filepath.Join(shared.dir, guestName)); err != nil {
		log.Print(err)
		return 1
	}
	out, err := exec.Command(filepath.Join(shared.dir, withWalls), "doctor", "--json").Output()
	var d struct{ Ready bool }
	if jerr := json.Unmarshal(out, &d); jerr != nil {
		log.Print("casemate doctor: ", err, jerr)
		return 1
	}
	if shared.weak = !d.Ready; shared.weak {
		log.Print("*** this kernel does not give every wall: the nodes run with --allow-weak-sandbox ***")
	}
	if shared.world, err = newWorld(shared.dir); err != nil {
		log.Print(err)
		return 1
	}
	defer shared.world.close()
	return m.Run()
}

// zipped is one program as a deployable archive.
func zipped(program string) ([]byte, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: filepath.Base(program), Method: zip.Store}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	if err == nil {
		_, err = w.Write(content)
	}
	err = errors.Join(err, z.Close())
	return b.Bytes(), err
}

// app is under attack from inside: what its guests are told to do, and what they tell of it, is not looked at on the way. GRANTS is
// what one function may reach. The unruly function does what its event says; its neighbour is an honest one.
const app = `app: battery
functions:
  unruly: {runtime: provided.al2023, code: guest.zip, timeout: 60s, memory: 128MB, tmp: 8MB, rate: 100000/s burst 100000}
  second: {runtime: provided.al2023, code: guest.zip, timeout: 60s, memory: 128MB, tmp: 8MB, rate: 100000/s burst 100000}
  outgoing: {runtime: provided.al2023, code: guest.zip, timeout: 60s, memory: 128MB, tmp: 8MB, grants: [GRANTS]}
  parent: {runtime: provided.al2023, code: guest.zip, timeout: 60s, memory: 128MB, tmp: 8MB, children: [/usr/bin/true]}
  neighbour: {runtime: provided.al2023, code: guest.zip, timeout: 60s, memory: 128MB, tmp: 8MB, isolation: warm, rate: 100000/s burst 100000}
routes:
  POST /parent: {function: parent, auth: [key], screen: {mode: off}, leaks: {secrets: off, traces: off}}
  POST /outgoing: {function: outgoing, auth: [key], screen: {mode: off}, leaks: {secrets: off, traces: off}}
  POST /unruly: {function: unruly, auth: [key], rate: 100000/s burst 100000, screen: {mode: off}, leaks: {secrets: off, traces: off}}
  POST /second: {function: second, auth: [key], rate: 100000/s burst 100000, screen: {mode: off}, leaks: {secrets: off, traces: off}}
  POST /neighbour: {function: neighbour, auth: [key], rate: 100000/s burst 100000, screen: {mode: off}, leaks: {secrets: off, traces: off}}
roles:
  caller:
    grants: [call POST /unruly, call POST /second, call POST /outgoing, call POST /parent, call POST /neighbour]
`

// furnished starts a node of a build with the app on it.
func furnished(t *testing.T, binary string, uid int) *node {
	t.Helper()
	n := startAs(t, binary, uid)
	if err := n.deploy(nodetest.Pack(t, map[string][]byte{manifest.File: []byte(strings.Replace(app, "GRANTS", grants(), 1)), "guest.zip": shared.guest})); err != nil {
		t.Fatal(err)
	}
	n.newKey("caller")
	return n
}
