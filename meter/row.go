package meter

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"casemate"
)

// Counts are sums over records. All are integers, so that adding in any order gives the same.
type Counts struct {
	Runs     int64         `json:"runs"`     // handed to a sandbox or a built-in, whatever came of it
	Failures int64         `json:"failures"` // runs that did not answer well: failed, interrupted
	Refusals int64         `json:"refusals"` // turned away before anything ran
	Queued   int64         `json:"queued"`   // accepted to run later; the run itself counts again
	Cold     int64         `json:"cold"`     // runs that waited for a cold start
	CPU      time.Duration `json:"cpu_ns"`
	Wall     time.Duration `json:"wall_ns"`
	MBMicros int64         `json:"mb_us"` // configured megabytes times microseconds of wall time
	In       int64         `json:"in_bytes"`
	Out      int64         `json:"out_bytes"`

	Connections int64 `json:"connections"`       // to the outside
	Received    int64 `json:"outside_in_bytes"`  // bytes from there
	Sent        int64 `json:"outside_out_bytes"` // bytes to there
	Blocked     int64 `json:"blocked"`           // effects of every kind that were refused

	Cost casemate.Money `json:"cost"` // in billionths, before what free quantities and tiers take off the bill
}

// CPUMillis is the CPU time in milliseconds.
func (c *Counts) CPUMillis() float64 { return float64(c.CPU) / float64(time.Millisecond) }

// GBSeconds is configured memory times wall time, as AWS bills it: 1 GB is 1,024 MB.
func (c *Counts) GBSeconds() float64 { return float64(c.MBMicros) / 1024 / 1e6 }

func (c *Counts) add(o *Counts) {
	c.Runs += o.Runs
	c.Failures += o.Failures
	c.Refusals += o.Refusals
	c.Queued += o.Queued
	c.Cold += o.Cold
	c.CPU += o.CPU
	c.Wall += o.Wall
	c.MBMicros += o.MBMicros
	c.In += o.In
	c.Out += o.Out
	c.Connections += o.Connections
	c.Received += o.Received
	c.Sent += o.Sent
	c.Blocked += o.Blocked
	c.Cost += o.Cost
}

// outside adds what a run did beyond its sandbox.
func (c *Counts) outside(effects []casemate.Effect) {
	for i := range effects {
		switch e := &effects[i]; {
		case e.Verdict != casemate.Allowed:
			c.Blocked += int64(max(e.Count, 1))
		case e.Kind == casemate.EffectConnect:
			c.Connections += int64(max(e.Count, 0))
			c.Received += max(e.In, 0)
			c.Sent += max(e.Out, 0)
		}
	}
}

// Row is the use of one function by one caller on one day, or a sum of such rows with the fields summed over left empty.
type Row struct {
	Day       string `json:"day,omitempty"`       // 2006-01-02, UTC, of the record's closing
	Function  string `json:"function,omitempty"`  // empty: no function was reached, or a built-in
	Principal string `json:"principal,omitempty"` // Record.Principal
	Counts
}

// Others is the principal of a day's rows past maxRows: a flood of callers cannot grow the table without bound.
const (
	Others  = "(others)"
	maxRows = 10000 // per day, and one row of Others per function
)

const dayForm = time.DateOnly

// sourceNode marks the records that the audit log writes about itself: nobody's use.
const sourceNode casemate.Source = "node"

// delta is what one record adds; without a Day it is nothing.
func delta(r *casemate.Record) Row {
	if r.Source == sourceNode {
		return Row{}
	}
	d := Row{Day: r.Closed.UTC().Format(dayForm), Function: r.Function, Principal: cmp.Or(r.Principal, "anonymous")}
	d.In, d.Out, d.Cost = max(r.Usage.In, 0), max(r.Usage.Out, 0), max(r.Cost, 0)
	switch r.Outcome.Status {
	case "refused":
		d.Refusals = max(int64(r.Times), 1)
		return d
	case "queued":
		d.Queued = 1
		return d
	case "preflight", "repeated": // a front's own answer to a browser; what was accepted before
		return Row{}
	}
	d.Runs = 1
	if !r.Outcome.OK {
		d.Failures = 1
	}
	if r.Usage.Cold {
		d.Cold = 1
	}
	d.CPU, d.Wall = max(r.Usage.CPU, 0), max(r.Usage.Wall, 0)
	d.outside(r.Effects)
	d.MBMicros = int64(max(r.Usage.MemoryMB, 0)) * (d.Wall - min(max(r.Usage.Shared, 0), d.Wall)).Microseconds()
	return d
}

// name is the row's key in the store: names may be longer than a key.
func (r *Row) name() string {
	sum := sha256.Sum256([]byte(r.Function + "\x00" + r.Principal))
	return r.Day + "/" + hex.EncodeToString(sum[:16])
}

func byName(a, b Row) int {
	return cmp.Or(strings.Compare(a.Day, b.Day), strings.Compare(a.Function, b.Function), strings.Compare(a.Principal, b.Principal))
}

// Filter chooses rows and what to sum them over.
type Filter struct {
	From, Until time.Time // days, both included; zero From: Until; zero Until: today
	Function    string
	Principal   string
	PerDay      bool // the three choose what a row is told apart by; none of them: by function
	PerFunction bool
	PerCaller   bool
}

func (f *Filter) sum(rows []Row) []Row {
	if !f.PerDay && !f.PerFunction && !f.PerCaller {
		f.PerFunction = true
	}
	sums := map[Row]*Row{}
	for _, r := range rows {
		if f.Function != "" && f.Function != r.Function || f.Principal != "" && f.Principal != r.Principal {
			continue
		}
		var key Row
		if f.PerDay {
			key.Day = r.Day
		}
		if f.PerFunction {
			key.Function = r.Function
		}
		if f.PerCaller {
			key.Principal = r.Principal
		}
		if sums[key] == nil {
			fresh := key
			sums[key] = &fresh
		}
		sums[key].add(&r.Counts)
	}
	out := make([]Row, 0, len(sums))
	for _, r := range sums {
		out = append(out, *r)
	}
	slices.SortFunc(out, byName)
	return out
}
