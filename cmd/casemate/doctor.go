package main

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/internal/walls"
	"casemate/sandbox"
	"casemate/sandbox/jail"
)

// version is set by the linker; a plain `go build` says so.
var version = "unreleased"

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, Example: "  casemate version --json", RunE: func(*cobra.Command, []string) error {
		version := shownVersion()
		v := map[string]string{"version": version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH}
		return a.show(v, func(w io.Writer) { fmt.Fprintf(w, "casemate %s %s %s/%s\n", version, v["go"], v["os"], v["arch"]) })
	}}
}

// unwalled follows the version of a build without walls, wherever a version is told.
const unwalled = " WITHOUT WALLS (a build for tests: run nothing in it)"

func shownVersion() string {
	if walls.Up {
		return version
	}
	return version + unwalled
}

// diagnosis is what this machine gives a node.
type diagnosis struct {
	Walls    []jail.Wall           `json:"walls"`
	Runtimes []sandbox.Interpreter `json:"runtimes"`
	Ready    bool                  `json:"ready"`    // every wall holds
	Observes bool                  `json:"observes"` // records say which files a run opened; not a wall
}

func diagnose(ctx context.Context) diagnosis {
	r := jail.Probe()
	return diagnosis{Walls: r.Walls, Runtimes: sandbox.Runtimes(ctx), Ready: len(r.Missing()) == 0, Observes: jail.CanObserve()}
}

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{Use: "doctor", Short: "Say which walls this machine's kernel gives, and which runtimes it has", Args: cobra.NoArgs,
		Long:    "Needs no running node. Run it as the user that the node will run as: what the kernel gives depends on it.\nExits 69 when a wall is missing.",
		Example: "  sudo -u casemate casemate doctor",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := diagnose(cmd.Context())
			if err := a.show(d, func(w io.Writer) { doctorPage(w, &d) }); err != nil {
				return err
			}
			if !d.Ready {
				return casemate.Errorf(casemate.Unavailable, "mend them as said above, or run casemate up --allow-weak-sandbox", "walls are missing on this machine")
			}
			return nil
		}}
}

func doctorPage(w io.Writer, d *diagnosis) {
	if !walls.Up {
		fmt.Fprintf(w, "casemate%s\n\n", unwalled)
	}
	t := newTable("WALL", "HERE", "WHY NOT, AND WHAT TO DO")
	for _, x := range d.Walls {
		if x.Available {
			t.add(x.Name, "yes", "")
		} else {
			t.add(x.Name, "NO", x.Why+"; "+x.Remedy)
		}
	}
	t.print(w)
	if !d.Observes {
		fmt.Fprintln(w, "\nRecords do not say which files a run opened: only a node that is root sees that.")
	}
	fmt.Fprintln(w)
	t = newTable("RUNTIME", "VERSION", "SERVES")
	t.add("wasm", "built in", "wasm (WASI preview 1)")
	t.add("provided", "built in", "provided.al2, provided.al2023 (any bootstrap)")
	for _, r := range d.Runtimes {
		t.add(r.Family, r.Version, r.Family+"*")
	}
	t.print(w)
}
