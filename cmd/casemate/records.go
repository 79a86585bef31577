package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/audit"
	"casemate/authn/operator"
	"casemate/front/admin"
	"casemate/node"
)

func (a *app) auditCommand() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "List, show, verify, prove and export the record",
		Long: "Every event leaves one record: who asked for what, which statement decided, what ran, what it tried and what it\ncost. Records are sealed in a Merkle tree with signed checkpoints; an export can be verified offline."}
	c.AddCommand(a.auditList(), a.auditShow(), a.auditVerify(), a.auditExport(), a.auditProve())
	return c
}

func (a *app) auditList() *cobra.Command {
	var f audit.Filter
	var since time.Duration
	var follow bool
	c := &cobra.Command{Use: "list", Short: "List records, newest last", Args: cobra.NoArgs,
		Example: "  casemate audit list --function orders --status refused\n  casemate audit list --since 1h --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since > 0 {
				f.From = time.Now().Add(-since)
			}
			if err := oneOf("--status", f.Status, "answered", "queued", "repeated", "refused", "failed", "interrupted", "preflight"); err != nil {
				return err
			}
			if err := oneOf("--source", string(f.Source), "http", "url", "admin", "async"); err != nil {
				return err
			}
			f.Newest = true
			var list []audit.Entry
			if err := a.call(cmd.Context(), "audit.list", f, &list); err != nil {
				return err
			}
			if len(list) == 0 {
				if err := a.known(cmd.Context(), functionNoun, f.Function); err != nil {
					return err
				}
			}
			reverse(list)
			if !follow {
				return a.show(list, func(w io.Writer) { recordTable(w, list) })
			}
			if err := a.showLines(list); err != nil {
				return err
			}
			if len(list) > 0 {
				f.After = list[len(list)-1].Seq
			}
			return a.stream(cmd.Context(), "", "audit.follow", f, a.recordLine)
		}}
	flags := c.Flags()
	flags.StringVar(&f.Function, "function", "", "only of this function")
	flags.StringVar(&f.Principal, "principal", "", "only of this caller: key/ck_..., uid/0")
	flags.StringVar(&f.Route, "route", "", `only of this route: "POST /orders"`)
	flags.StringVar(&f.Status, "status", "", "answered, queued, repeated, refused, failed, interrupted or preflight")
	flags.StringVar(&f.Chain, "chain", "", "only of this causal chain")
	flags.StringVar((*string)(&f.Source), "source", "", "http, url, admin or async")
	flags.DurationVar(&since, "since", 0, "only so far back: 15m, 24h")
	flags.IntVarP(&f.Limit, "limit", "n", 50, "at most so many")
	within[time.Duration](flags, "since", 1, unbounded)
	within(flags, "limit", 1, 10_000)
	flags.BoolVarP(&follow, "follow", "f", false, "go on with new records")
	return c
}

// oneOf refuses a value that would match no record at all; none given is every one.
func oneOf(flag, value string, known ...string) error {
	if value == "" || slices.Contains(known, value) {
		return nil
	}
	return &casemate.Error{Code: casemate.Invalid, Field: flag, Message: fmt.Sprintf("%q is none of them", value), Hint: strings.Join(known, ", ")}
}

func reverse[T any](s []T) {
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
}

func recordTable(w io.Writer, list []audit.Entry) {
	t := newTable("TIME", "WHO", "WHAT", "FUNCTION", "OUTCOME", "DECIDED BY", "CORRIDOR", "TOOK", "ID")
	for i := range list {
		t.add(recordCells(&list[i].Record)...)
	}
	t.print(w)
}

func recordCells(r *casemate.Record) []string {
	return []string{r.Opened.Local().Format("15:04:05.000"), who(r), or(r.Route, or(r.Action, r.Asked)), or(r.Function, "-"), r.Outcome.Word(),
		or(r.Decision.Statement, "-"), verdicts(r), duration(r.Closed.Sub(r.Opened)), r.ID}
}

// who is a record's principal, marked where it broke the glass.
func who(r *casemate.Record) string {
	if operator.Broken(r.Role) {
		return r.Principal + " (BREAK-GLASS)"
	}
	return r.Principal
}

// showLines prints entries one a line, as a stream does.
func (a *app) showLines(list []audit.Entry) error {
	for i := range list {
		if err := a.printRecord(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) recordLine(line []byte) error {
	var e audit.Entry
	if err := decode(line, &e); err != nil {
		return err
	}
	return a.printRecord(&e)
}

func (a *app) printRecord(e *audit.Entry) error {
	if a.json {
		return encodeLine(a.out, e)
	}
	cells := recordCells(&e.Record)
	_, err := fmt.Fprintf(a.out, "%s  %-22s %-24s %-14s %-14s %s\n", cells[0], printable(cells[1]), printable(cells[2]), printable(cells[3]), printable(cells[4]), cells[8])
	return err
}

func (a *app) auditShow() *cobra.Command {
	return &cobra.Command{Use: "show ID", Short: "Show one record: every verdict, the statement, effects, cost", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var e audit.Entry
			if err := a.call(cmd.Context(), "audit.show", node.IDQuestion{ID: args[0]}, &e); err != nil {
				return err
			}
			return a.show(e, func(w io.Writer) { recordPage(w, &e) })
		}}
}

func recordPage(w io.Writer, e *audit.Entry) {
	r := &e.Record
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	line("record", "%s (number %d)", r.ID, e.Seq)
	line("opened", "%s, took %s", r.Opened.Local().Format(time.RFC3339Nano), duration(r.Closed.Sub(r.Opened)))
	line("who", "%s, role %s, from %s", r.Principal, or(r.Role, "-"), or(r.SourceIP, "this machine"))
	if r.Resource == "" {
		line("asked for", "%s", r.Asked)
	} else {
		line("what", "%s on %s", r.Action, r.Resource)
	}
	if r.Function != "" {
		line("function", "%s/%s version %.12s", r.App, r.Function, r.Version)
	}
	if r.Decision.Layer != "" || r.Decision.Statement != "" || r.Decision.Reason != "" {
		line("decision", "%s by %s (%s): %s", r.Decision.Verdict, or(r.Decision.Statement, "nothing"), or(r.Decision.Layer, "-"), r.Decision.Reason)
	}
	if r.Decision.Origin != "" {
		line("", "written in %s", r.Decision.Origin)
	}
	for _, p := range r.Points {
		line("  "+p.Name, "%-5s %8s  %s", p.Verdict, duration(p.Took), p.Reason)
	}
	for _, x := range r.Effects {
		line("effect", "%s %s: %s %s", x.Kind, x.Target, x.Verdict, x.Reason)
		if x.Grant != "" {
			line("", "what would allow it: %s", x.Grant)
		}
	}
	line("outcome", "%s %s", r.Outcome.Word(), r.Outcome.Detail)
	if u := r.Usage; u.Wall > 0 {
		line("cost", "wall %s, CPU %s, peak %s of %d MB, %s", duration(u.Wall), duration(u.CPU), size(u.PeakBytes), u.MemoryMB, temperature(u))
	}
	if r.Cost != 0 || r.Held != 0 {
		line("price", "%s of at most %s, by book %.12s", r.Cost, r.Held, r.Book)
	}
	for _, note := range r.Notes {
		line("note", "%s", note)
	}
	if len(r.Walls) > 0 {
		line("walls", "%v", r.Walls)
	}
	if len(r.Weak) > 0 {
		line("MISSING", "%v: this run went without these walls", r.Weak)
	}
}

func (a *app) auditVerify() *cobra.Command {
	var file, key, known string
	c := &cobra.Command{Use: "verify", Short: "Verify the whole log, on the node or offline from an export", Args: cobra.NoArgs,
		Long:    "Without --file the node verifies its own log. With --file an export is verified offline: nothing of the node is\nneeded. Give --key and --checkpoint, kept elsewhere, to find a log that was rewritten or rolled back as a whole.",
		Example: "  casemate audit verify\n  casemate audit export > log.jsonl && casemate audit verify --file log.jsonl --checkpoint old.note",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var report audit.Report
			err := error(nil)
			if file == "" {
				err = a.call(cmd.Context(), "audit.verify", nil, &report)
			} else {
				report, err = a.verifyFile(file, key, known)
			}
			if err != nil {
				return err
			}
			return a.show(report, func(w io.Writer) {
				fmt.Fprintf(w, "verified: %s under %s, nothing edited, deleted, reordered or cut\n", count(int64(report.Records), "record"), count(int64(report.Checkpoints), "checkpoint"))
				fmt.Fprintf(w, "key: %s\n", report.Key)
			})
		}}
	c.Flags().StringVar(&file, "file", "", "export to verify offline; - for standard input")
	c.Flags().StringVar(&key, "key", "", "trusted public key; without it the export's own is taken")
	c.Flags().StringVar(&known, "checkpoint", "", "file with a checkpoint kept elsewhere, which the log must extend")
	return c
}

func (a *app) verifyFile(file, key, known string) (audit.Report, error) {
	trust := audit.Trust{Key: key}
	var err error
	if known != "" {
		if trust.Known, err = os.ReadFile(known); err != nil {
			return audit.Report{}, &casemate.Error{Code: casemate.Invalid, Field: "--checkpoint", Message: "cannot be read", Hint: "name a file with one signed checkpoint", Err: err}
		}
	}
	in := a.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return audit.Report{}, &casemate.Error{Code: casemate.Invalid, Field: "--file", Message: "cannot be opened", Hint: "casemate audit export > FILE makes one", Err: err}
		}
		defer f.Close()
		in = f
	}
	report, err := audit.Verify(in, trust)
	return report, node.Tampered(err)
}

func (a *app) auditExport() *cobra.Command {
	return &cobra.Command{Use: "export", Short: "Write the whole log to standard output, for verify --file", Args: cobra.NoArgs,
		Example: "  casemate audit export > log.jsonl",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(func(c *admin.Client) error {
				return c.Stream(cmd.Context(), "audit.export", nil, func(line []byte) error {
					_, err := fmt.Fprintf(a.out, "%s\n", line)
					return err
				})
			})
		}}
}

func (a *app) auditProve() *cobra.Command {
	return &cobra.Command{Use: "prove ID", Short: "Print the inclusion proof of one record", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var p audit.Proof
			if err := a.call(cmd.Context(), "audit.prove", node.IDQuestion{ID: args[0]}, &p); err != nil {
				return err
			}
			if _, err := audit.VerifyProof(p, ""); err != nil {
				return node.Tampered(err)
			}
			a.json = true // a proof is for programs
			return a.show(p, nil)
		}}
}
