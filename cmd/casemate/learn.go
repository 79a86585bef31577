package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/node"
)

func (a *app) contractLearn() *cobra.Command {
	q := node.LessonAsked{}
	c := &cobra.Command{Use: "learn ROUTE", Short: "Look at a route's requests and answers for a while, to learn its contract", Args: cobra.ExactArgs(1),
		Long: `Bodies are not recorded, so a contract is learned from traffic only where and as long as you say so. The node keeps shapes, in
memory: kinds, lengths, formats, names of members. It keeps values only where they look like words of a short list (open, shut), never
of members called name, token, note and the like. Requests that were refused are not looked at. Learning a route again begins anew.`,
		Example: "  casemate contract learn \"POST /orders\" --for 1h\n  casemate contract infer shop -o learned.yaml\n  casemate contract learn \"POST /orders\" --stop",
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Route = args[0]
			var s node.LessonState
			if err := a.call(cmd.Context(), "contract.learn", &q, &s); err != nil {
				return a.near(cmd.Context(), err, routeNoun, q.Route)
			}
			return a.show(s, func(w io.Writer) {
				if q.Stop {
					fmt.Fprintf(w, "what was learned of %s is forgotten\n", s.Route)
					return
				}
				fmt.Fprintf(w, "learning %s of %s until %s; then: casemate contract infer %s\n", s.Route, s.App, s.Until.Local().Format(time.DateTime), s.App)
			})
		}}
	c.Flags().StringVar(&q.App, "app", "", "the route's app, where several have it")
	c.Flags().DurationVar(&q.For, "for", time.Hour, "how long: 10m, 24h; a week at most")
	within(c.Flags(), "for", 1, 7*24*time.Hour)
	c.Flags().BoolVar(&q.Stop, "stop", false, "end it and forget what was learned")
	return c
}

func (a *app) contractInfer() *cobra.Command {
	var out string
	c := &cobra.Command{Use: "infer APP [ROUTE]", Short: "Write what was learned as an OpenAPI document", Args: cobra.RangeArgs(1, 2),
		Long: `Writes an OpenAPI 3.1 document that every request and answer seen while learning passes, and says how many there were and what
it leaves loose. Read it, tighten what is loose, then name it in casemate.yaml: contract: {file: ..., operation: ...}.`,
		Example: "  casemate contract infer shop -o learned.yaml\n  casemate contract infer shop \"POST /orders\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			q := node.LessonAsked{App: args[0]}
			if len(args) > 1 {
				q.Route = args[1]
			}
			var l node.Learned
			if err := a.call(cmd.Context(), "contract.learned", &q, &l); err != nil {
				if unknown := a.known(cmd.Context(), appNoun, q.App); unknown != nil && casemate.CodeOf(err) == casemate.NotFound {
					return unknown
				}
				return err
			}
			if out != "" {
				if err := writeNew(out, []byte(l.Document)); err != nil {
					return err
				}
			} else if !a.json {
				fmt.Fprint(a.out, l.Document)
			}
			if a.json {
				return a.show(l, nil)
			}
			for _, s := range l.Lessons {
				fmt.Fprintf(a.errs, "%s: %d requests since %s\n", s.Route, s.Requests, s.From.Local().Format(time.DateTime))
			}
			for _, text := range l.Loose {
				fmt.Fprintln(a.errs, "loose: "+text)
			}
			return nil
		}}
	c.Flags().StringVarP(&out, "output", "o", "", "write it into this new file")
	return c
}

// writeNew writes a file that is not there yet.
func writeNew(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return casemate.Errorf(casemate.Invalid, "name a file that is not there yet", "writing the document: %w", err)
	}
	if _, err = f.Write(data); err != nil {
		_ = f.Close()
		return fmt.Errorf("writing the document: %w", err)
	}
	return f.Close()
}
