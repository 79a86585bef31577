package faults

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"casemate/deploy/manifest"
	"casemate/internal/casetest/guests"
	"casemate/internal/casetest/nodetest"
	"casemate/internal/casetest/product"
)

// stage is what all tests share.
type stage struct {
	binary string // casemate
	native []byte // the guest as its bootstrap, in a zip that costs nothing to make or to open
	weak   bool   // the kernel does not give every wall
	full   bool
	seed   uint64
}

var shared stage

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "casemate-faults-")
	if err != nil {
		log.Print(err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := shared.build(dir); err != nil {
		log.Print(err)
		return 1
	}
	return m.Run()
}

func (s *stage) build(dir string) error {
	s.full, s.seed = os.Getenv("CASEMATE_FULL") == "1", uint64(time.Now().UnixNano())
	if text := os.Getenv("CASEMATE_SEED"); text != "" {
		var err error
		if s.seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			return fmt.Errorf("CASEMATE_SEED: %w", err)
		}
	}
	s.binary = filepath.Join(dir, "casemate")
	guest := filepath.Join(dir, "bootstrap")
	if err := product.Casemate(s.binary); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", guest, "./guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the guest: %w\n%s", err, text)
	}
	if err := s.zip(guest); err != nil {
		return err
	}
	out, err := exec.Command(s.binary, "doctor", "--json").Output()
	var d struct{ Ready bool }
	if jerr := json.Unmarshal(out, &d); jerr != nil {
		return fmt.Errorf("casemate doctor: %w, %w", err, jerr)
	}
	if s.weak = !d.Ready; s.weak {
		log.Print("*** this kernel does not give every wall: the nodes run with --allow-weak-sandbox ***")
	}
	return nil
}

func (s *stage) zip(guest string) error {
	content, err := os.ReadFile(guest)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: "bootstrap", Method: zip.Store}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	if err == nil {
		_, err = w.Write(content)
	}
	if err := errors.Join(err, z.Close()); err != nil {
		return err
	}
	s.native = b.Bytes()
	return nil
}

// draw gives the random numbers of one test and prints what plays it again.
func draw(t *testing.T) *rand.Rand {
	t.Helper()
	t.Logf("CASEMATE_SEED=%d", shared.seed)
	return rand.New(rand.NewPCG(shared.seed, uint64(len(t.Name()))))
}

// app is the manifest of the app under test. Each function is there for one thing that can go wrong.
const app = `app: faults
functions:
  echo: {runtime: wasm, code: echo.wasm, timeout: 30s, memory: 32MB, rate: 100000/s burst 100000}
  trap: {runtime: wasm, code: trap.wasm, timeout: 30s, memory: 32MB, async: {retries: 0}}
  warm: {runtime: provided.al2023, code: native.zip, timeout: 30s, memory: 128MB, isolation: warm, rate: 100000/s burst 100000}
  hang: {runtime: provided.al2023, code: native.zip, timeout: 900s, memory: 128MB}
routes:
  POST /echo: {function: echo, auth: [key], rate: 100000/s burst 100000}
  POST /trap: {function: trap, auth: [key]}
  POST /warm: {function: warm, auth: [key], rate: 100000/s burst 100000}
  POST /hang: {function: hang, auth: [key]}
roles:
  caller:
    grants: [call POST /echo, call POST /trap, call POST /warm, call POST /hang]
`

// sayer is a second app, small and deployed again and again: it answers its generation.
const sayer = `app: sayer
functions:
  said: {runtime: wasm, code: said.wasm, timeout: 30s, memory: 32MB}
routes:
  GET /said: {function: said, auth: [key], rate: 100000/s burst 100000}
roles:
  reader:
    grants: [call GET /said]
`

// appBundle packs the app as "casemate deploy" does.
func appBundle(t *testing.T) []byte {
	t.Helper()
	return nodetest.Pack(t, map[string][]byte{manifest.File: []byte(app), "echo.wasm": guests.Echo(), "trap.wasm": guests.Trap(), "native.zip": shared.native})
}

func sayerBundle(t *testing.T, generation int) []byte {
	t.Helper()
	return nodetest.Pack(t, map[string][]byte{manifest.File: []byte(sayer), "said.wasm": guests.Say(strconv.Itoa(generation), 1)})
}

// furnishSayer deploys the small app alone and makes a key for it.
func furnishSayer(t *testing.T, n *node) (reader string) {
	t.Helper()
	if err := n.deploy(sayerBundle(t, 0)); err != nil {
		t.Fatal(err)
	}
	return newKey(t, n, "reader")
}

// furnish deploys both apps and makes a key for each.
func furnish(t *testing.T, n *node) (caller, reader string) {
	t.Helper()
	if err := n.deploy(appBundle(t)); err != nil {
		t.Fatal(err)
	}
	return newKey(t, n, "caller"), furnishSayer(t, n)
}
