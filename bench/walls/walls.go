// Package walls measures promise P12: what the walls cost a function that runs. The same program does the same work as a
// plain process and inside the whole jail, watched as a function is: system calls that are told, files that are seen. Both
// stay up for the whole measurement and take turns in short parts, in the order plain, jail, jail, plain.
package walls

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"casemate/bench/load"
	"casemate/sandbox/jail"
)

// Result is one measurement.
type Result struct {
	Rows []Row    `json:"rows"`
	Weak []string `json:"weak,omitempty"` // walls that this machine does not give
	Seen bool     `json:"seen"`           // opened files were observed; only root can
}

// Row holds one kind of work.
type Row struct {
	Work  string      `json:"work"`
	Limit float64     `json:"limit,omitempty"` // the promise; 0: a part of the mix, for the picture
	CPU   load.Figure `json:"cpu"`             // of the program and of the node
	Wall  load.Figure `json:"wall"`
}

// works are what is measured, with the rounds of one part: 20 to 40 ms each.
var works = []struct {
	name   string
	limit  float64
	rounds int
}{{"cpu", 1.02, 100}, {"syscalls", 1.05, 100}, {"read", 0, 40_000}, {"write", 0, 40_000}, {"stat", 0, 25_000}, {"open", 0, 12_000}}

// Run measures reps repetitions (at least 7 for a published figure); each takes some 0.1 s a work. It needs a Go
// toolchain, which compiles the program.
func Run(ctx context.Context, reps int) (Result, error) {
	var out Result
	if reps < 1 {
		return out, fmt.Errorf("repetitions %d: want at least 1", reps)
	}
	dir, err := os.MkdirTemp("", "casemate-walls-")
	if err != nil {
		return out, fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := prepare(ctx, dir); err != nil {
		return out, err
	}
	plain, err := startPlain(ctx, dir)
	if err != nil {
		return out, fmt.Errorf("starting the plain program: %w", err)
	}
	defer plain.close()
	jailed, child, err := startJailed(ctx, dir)
	if err != nil {
		return out, fmt.Errorf("starting the jailed program: %w", err)
	}
	defer jailed.close()
	out.Weak = child.Weak
	for _, w := range works {
		row := Row{Work: w.name, Limit: w.limit}
		if row.CPU, row.Wall, err = measure(ctx, plain, jailed, child, w.name, w.rounds, reps); err != nil {
			return out, fmt.Errorf("%s: %w", w.name, err)
		}
		out.Rows = append(out.Rows, row)
	}
	out.Seen = child.Observe() == nil
	return out, nil
}

// prepare compiles the program and makes the file that it reads.
func prepare(ctx context.Context, dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	source := filepath.Join(dir, "main.go")
	err := errors.Join(os.WriteFile(source, []byte(program), 0o644), os.Mkdir(filepath.Join(dir, "code"), 0o755),
		os.WriteFile(filepath.Join(dir, "code", "data"), make([]byte, 256<<10), 0o644))
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "code", "program"), source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling: %w: %.200s", err, msg)
	}
	return nil
}

// measure takes the repetitions of one work and their medians.
func measure(ctx context.Context, plain, jailed *runner, child *jail.Child, work string, rounds, reps int) (cpu, wall load.Figure, err error) {
	var cpus, walls [][4]float64
	for rep := range reps + 1 { // the first one warms up
		var c, w [4]float64
		_ = child.Observe("/var/task") // as at the begin of each run; a node that may not observe does not
		for k, r := range [4]*runner{plain, jailed, jailed, plain} {
			if ctx.Err() != nil {
				return cpu, wall, ctx.Err()
			}
			if c[k], w[k], err = r.part(work, rounds); err != nil {
				return cpu, wall, err
			}
		}
		if rep > 0 {
			cpus, walls = append(cpus, c), append(walls, w)
		}
	}
	return load.ABBA(cpus), load.ABBA(walls), nil
}

// runner is the program, up and waiting for work.
type runner struct {
	tell io.WriteCloser
	hear *bufio.Reader
	end  func()
}

func (r *runner) close() {
	r.tell.Close()
	r.end()
}

// part lets the program do some rounds and gives the nanoseconds of one: CPU of the program and of this process, and wall.
func (r *runner) part(work string, rounds int) (cpu, wall float64, err error) {
	own := load.OwnCPU()
	if _, err = fmt.Fprintln(r.tell, work, rounds); err != nil {
		return 0, 0, err
	}
	line, err := r.hear.ReadString('\n')
	if err != nil {
		return 0, 0, err
	}
	if _, err = fmt.Sscan(line, &cpu, &wall); err != nil {
		return 0, 0, fmt.Errorf("the program said %q", strings.TrimSpace(line))
	}
	cpu += float64(load.OwnCPU() - own)
	return cpu / float64(rounds), wall / float64(rounds), nil
}
