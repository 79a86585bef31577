package battery

import (
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate/deploy/manifest"
	"casemate/internal/casetest/nodetest"
)

// habitat is one runtime in which canaries are left.
type habitat struct {
	name    string
	runtime string
	handler string
	code    string // in the bundle
	needs   string // program without which the runtime is not there
	modes   []string
}

// habitats are all runtimes with the isolations that make a difference in them. A module that is a command has a new
// instance for every event, whatever the isolation.
func habitats() []habitat {
	dial := []string{"request", "tenant", "warm"}
	return []habitat{
		{"provided", "provided.al2023", "", "guest.zip", "", dial},
		{"node", "nodejs20.x", "index.handler", "node", "node", dial},
		{"python", "python3.11", "app.handler", "python", "python3", dial},
		{"rewound", "wasm", "", "rewound.wasm", "", dial},
		{"command", "wasm", "", "command.wasm", "", []string{"request"}},
	}
}

// TestCanaries leaves a token in every place that a function has, and looks for it in the events that follow (S12): under
// request it is never there; under tenant never for another tenant. Where it may be there it has to be, for else the
// search would find nothing anywhere.
func TestCanaries(t *testing.T) {
	n := start(t, withWalls)
	var functions, routes, grants []string
	files := map[string][]byte{"guest.zip": shared.guest}
	var present []habitat
	for _, h := range habitats() {
		if h.needs != "" && !installed(t, h.needs) {
			continue
		}
		present = append(present, h)
		for _, mode := range h.modes {
			name := h.name + "-" + mode
			line := fmt.Sprintf("  %s: {runtime: %s, code: %s, timeout: 30s, memory: 256MB, isolation: %s", name, h.runtime, h.code, mode)
			if h.handler != "" {
				line += ", handler: " + h.handler
			}
			if mode == "tenant" {
				line += ", tenant: header:x-org"
			}
			functions = append(functions, line+"}\n")
			routes = append(routes, fmt.Sprintf("  POST /%s: {function: %s, auth: [key], screen: {mode: off}, leaks: {secrets: off, traces: off}}\n", name, name))
			grants = append(grants, "call POST /"+name)
		}
	}
	for _, name := range []string{"node/index.js", "python/app.py"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = text
	}
	for _, name := range []string{"rewound.wasm", "command.wasm"} {
		text, err := os.ReadFile(filepath.Join(shared.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = text
	}
	files[manifest.File] = []byte("app: canaries\nfunctions:\n" + strings.Join(functions, "") + "routes:\n" + strings.Join(routes, "") +
		"roles:\n  keeper: {grants: [" + strings.Join(grants, ", ") + "]}\n")
	if err := n.deploy(nodetest.Pack(t, files)); err != nil {
		t.Fatal(err)
	}
	n.newKey("keeper")
	for _, h := range present {
		for _, mode := range h.modes {
			t.Run(h.name+"-"+mode, func(t *testing.T) { hunt(t, n, h.name+"-"+mode, mode, h.runtime == "wasm") })
		}
	}
}

// hunt leaves a canary for one tenant and looks for it as the same one and as another. A module's instance is rewound under
// tenant, too, so that there is nothing to find for anybody.
func hunt(t *testing.T, n *node, function, mode string, module bool) {
	token := rand.Text()
	head, tail := token[:13], token[13:]
	ask := func(what, tenant string) reply {
		t.Helper()
		n.tenant = tenant
		r, err := n.send(t.Context(), function, map[string]string{"attack": what, "head": head, "tail": tail})
		if err != nil || r.Status != 200 {
			t.Fatalf("%s: %v %+v", what, err, r)
		}
		return r
	}
	ask("look", "one") // a sandbox that has seen an event already
	ask("plant", "one")
	var own, others []string
	for range 3 {
		own = append(own, ask("look", "one").Detail)
		others = append(others, ask("look", "two").Detail)
	}
	found := strings.Join(own, "")
	t.Logf("the same tenant finds %q, another %q", own[0], others[0])
	if strings.Join(others, "") != "" && mode != "warm" {
		t.Errorf("another tenant finds %q", others)
	}
	switch {
	case mode == "request" && found != "":
		t.Errorf("a later event finds %q", own)
	case mode != "request" && !(module && mode == "tenant") && !strings.Contains(found, "memory"):
		t.Errorf("the search finds nothing where it should: %q", own)
	}
}

// installed says whether a program is here. On CI it has to be.
func installed(t *testing.T, program string) bool {
	t.Helper()
	_, err := exec.LookPath(program)
	if err == nil {
		return true
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed, and CI has to have it", program)
	}
	log.Printf("*** LEFT OUT: what needs %s, because it is not installed on this machine ***", program)
	return false
}
