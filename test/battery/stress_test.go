package battery

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"casemate/deploy/manifest"
	"casemate/internal/casetest/nodetest"
)

// stressNG is Debian's package of that name: hundreds of ways to wear a kernel out.
const stressNG = "/usr/bin/stress-ng"

const stressedApp = `app: stressed
functions:
  unruly: {runtime: provided.al2023, code: guest.zip, timeout: 60s, memory: 256MB, tmp: 32MB, children: [/usr/bin/stress-ng]}
  second: {runtime: provided.al2023, code: guest.zip, timeout: 60s, memory: 256MB, tmp: 32MB, children: [/usr/bin/stress-ng]}
  neighbour: {runtime: provided.al2023, code: guest.zip, timeout: 60s, memory: 128MB, isolation: warm, rate: 100000/s burst 100000}
routes:
  POST /unruly: {function: unruly, auth: [key], screen: {mode: off}, leaks: {secrets: off, traces: off}}
  POST /second: {function: second, auth: [key], screen: {mode: off}, leaks: {secrets: off, traces: off}}
  POST /neighbour: {function: neighbour, auth: [key], rate: 100000/s burst 100000, screen: {mode: off}, leaks: {secrets: off, traces: off}}
roles:
  caller:
    grants: [call POST /unruly, call POST /second, call POST /neighbour]
`

// TestStress runs the stressors of every class in two sandboxes at once. The neighbour is served meanwhile, the node does not
// grow, and each run is in the record.
func TestStress(t *testing.T) {
	if !shared.full {
		t.Skip("it takes minutes: CASEMATE_FULL=1")
	}
	if _, err := os.Stat(stressNG); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("stress-ng is not installed, and CI has to have it")
		}
		log.Print("*** LEFT OUT: the classes of stress-ng, because it is not installed on this machine ***")
		t.SkipNow()
	}
	t.Setenv("GOGC", "100") // as in TestNeighbour
	n := start(t, withWalls)
	if err := n.deploy(nodetest.Pack(t, map[string][]byte{manifest.File: []byte(stressedApp), "guest.zip": shared.guest})); err != nil {
		t.Fatal(err)
	}
	n.newKey("caller")
	before := settled(t, n)
	w := tabwriter.NewWriter(os.Stderr, 0, 0, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprintln(w, "STRESS\tTOOK\tNEIGHBOUR'S P99 ALONE\tMEANWHILE\tRATIO\tNODE GREW BY\tWHAT CAME OF IT")
	seen := map[string]bool{}
	for _, class := range []string{"cpu", "cpu-cache", "device", "filesystem", "interrupt", "io", "memory", "network", "os", "pipe", "scheduler", "security", "vm"} {
		names := stressors(t, class, seen)
		if names == "" {
			continue // all of them were in other classes
		}
		m := measured(t, n, 300, map[string]string{"attack": "stress", "names": names})
		fmt.Fprintf(w, "%s\t%v\t%v\t%v\t%.1fx\t%d MB\t%s\n", class, m.took.Round(time.Millisecond), p99(m.alone), p99(m.during), m.ratio(), (m.peak-before)>>20, told(m.replies[0].Detail))
		if m.ratio() > failingRatio {
			t.Errorf("%s: the neighbour's p99 is %.1fx", class, m.ratio())
		}
		if grown := m.peak - before; grown > memoryGrowth {
			t.Errorf("%s: the node grew by %d MB", class, grown>>20)
		}
		for _, r := range m.replies {
			if strings.Contains(r.Detail, "fork/exec") {
				t.Errorf("%s: it did not run: %s", class, r.Detail)
			}
			if rec := n.record(t, r.ID); rec.Function == "" || len(rec.Walls) == 0 {
				t.Errorf("%s: the record is %+v", class, rec)
			}
		}
	}
	if left := named(t, "stress-ng"); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

// stressors are those of a class that were not in another one before.
func stressors(t *testing.T, class string, seen map[string]bool) string {
	t.Helper()
	out, _ := exec.CommandContext(t.Context(), stressNG, "--class", class+"?").CombinedOutput() // it lists, and fails
	_, list, ok := strings.Cut(string(out), "stressors:")
	if !ok {
		t.Fatalf("no class %q: %s", class, out)
	}
	var names []string
	for _, name := range strings.Fields(list) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// told is the last line of what the stressors said.
func told(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1][:min(len(lines[len(lines)-1]), 90)]
}

// named finds processes whose name starts like this.
func named(t *testing.T, prefix string) (pids []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if text, err := os.ReadFile(file); err == nil && strings.HasPrefix(string(text), prefix) {
			pids = append(pids, file)
		}
	}
	return pids
}
