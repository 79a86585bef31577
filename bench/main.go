// Command bench measures the promises of SPECIFICATION.md that have a number, each as a ratio against a floor measured in
// the same run, with the floor against itself as control. It prints a table, and JSON with -json. Run it alone.
//
//	make bench
//	go run ./bench -casemate bin/casemate -only P1,P7 -reps 7
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Line is one measured promise.
type Line struct {
	ID      string  `json:"id"`
	What    string  `json:"what"`
	Figure  float64 `json:"figure"`
	Min     float64 `json:"min,omitempty"`
	Max     float64 `json:"max,omitempty"`
	Unit    string  `json:"unit"`
	Bar     string  `json:"bar"`     // what is to be reached now
	Reached bool    `json:"reached"` // and was
	Noisy   bool    `json:"noisy"`   // the control said that the machine was too noisy for a verdict
	Control float64 `json:"control"`
	Detail  string  `json:"detail"`
}

// Report is a whole run.
type Report struct {
	At    time.Time `json:"at"`
	Go    string    `json:"go"`
	CPUs  int       `json:"cpus"`
	Reps  int       `json:"reps"`
	Lines []Line    `json:"lines"`
}

// options are what every measurement gets.
type options struct {
	casemate string
	reps     int
	part     time.Duration // of one of a repetition's four parts
	conns    int
	weak     bool
	prices   string // price book of the node; empty: its own
	rate     string // of one source; "": as good as none
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "floor" {
		floorServer()
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "checks" {
		checksServer(os.Args[2:])
		return
	}
	var o options
	var out, only string
	flag.StringVar(&o.casemate, "casemate", "bin/casemate", "the binary to measure")
	flag.IntVar(&o.reps, "reps", 7, "repetitions; at least 7 for a published figure")
	flag.DurationVar(&o.part, "part", 1500*time.Millisecond, "length of a repetition's four parts")
	flag.IntVar(&o.conns, "conns", 16, "connections")
	flag.BoolVar(&o.weak, "allow-weak-sandbox", false, "measure although walls are missing")
	flag.StringVar(&out, "json", "", "write the report here as well")
	flag.StringVar(&only, "only", "", "only these: P1,P2,P3,P5,P6,P7,P9,P10,P12,door")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, only, out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, only, out string) error {
	r := Report{At: time.Now().UTC(), Go: runtime.Version(), CPUs: runtime.NumCPU(), Reps: o.reps}
	for _, m := range []struct {
		id      string
		measure func(context.Context, options) ([]Line, error)
	}{{"P1", measureCorridor}, {"P2", measureGuest}, {"P3", measureDecide}, {"P3", measureChecks}, {"P5", measureWarm}, {"P6", measureCold}, {"P7", measureIntake}, {"P9", measureMoney}, {"P10", measureNeighbours}, {"P12", measureWalls}, {"door", measureDoor}} {
		if only != "" && !strings.Contains(","+only+",", ","+m.id+",") {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s ...\n", m.id)
		lines, err := m.measure(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", m.id, err)
		}
		r.Lines = append(r.Lines, lines...)
	}
	print(os.Stdout, &r)
	if out == "" {
		return nil
	}
	data, err := json.MarshalIndent(&r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(data, '\n'), 0o644)
}

func print(w io.Writer, r *Report) {
	fmt.Fprintf(w, "\n%-4s %-78s %9s  %-15s %-24s %s\n", "ID", "WHAT", "FIGURE", "MIN..MAX", "BAR", "DETAIL")
	for _, l := range r.Lines {
		verdict := "reached"
		switch {
		case l.Noisy:
			verdict = "TOO NOISY"
		case l.Bar == "-":
			verdict = ""
		case !l.Reached:
			verdict = "NOT REACHED"
		}
		fmt.Fprintf(w, "%-4s %-78s %9.2f  %-15s %-24s %s\n", l.ID, l.What, l.Figure, fmt.Sprintf("%.2f..%.2f", l.Min, l.Max), l.Bar+" "+verdict, l.Detail+fmt.Sprintf(" [control %.2f]", l.Control))
	}
	fmt.Fprintf(w, "\n%d CPUs, %s, %d repetitions; ratios against a floor of the same run, CPU of whole process trees\n", r.CPUs, r.Go, r.Reps)
}

// floorServer is the floor of HTTP figures: net/http saying hello, and nothing else.
func floorServer() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(ln.Addr())
	err = http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, hello)
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
