package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/audit"
	"casemate/front/admin"
	"casemate/journal"
	"casemate/node"
)

func (a *app) logsCommand() *cobra.Command {
	var f journal.Filter
	var since time.Duration
	c := &cobra.Command{Use: "logs [FUNCTION]", Short: "Show what functions wrote, line by line, attributed to runs", Args: cobra.MaximumNArgs(1),
		Example: "  casemate logs orders --follow\n  casemate logs --request 0b5c… --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				f.Function = args[0]
			}
			if since > 0 {
				f.Since = time.Now().Add(-since)
			}
			if f.Follow { // for ever, where the name is wrong
				if err := a.known(cmd.Context(), functionNoun, f.Function); err != nil {
					return err
				}
			}
			lines := 0
			err := a.stream(cmd.Context(), f.Function, "logs.read", f, func(line []byte) error {
				lines++
				return a.logLine(line)
			})
			if err != nil || lines > 0 || f.Follow {
				return err
			}
			if err := a.known(cmd.Context(), functionNoun, f.Function); err != nil {
				return err
			}
			if err := a.ran(cmd.Context(), f.Request); err != nil {
				return err
			}
			if !a.json {
				fmt.Fprintln(a.errs, "no lines: nothing has been written yet, or not so far back")
			}
			return nil
		}}
	c.Flags().BoolVarP(&f.Follow, "follow", "f", false, "go on with new lines")
	c.Flags().StringVar(&f.Request, "request", "", "only of the run with this request id")
	c.Flags().DurationVar(&since, "since", 0, "only so far back: 15m, 24h")
	c.Flags().IntVarP(&f.Last, "last", "n", 200, "so many lines of the history; 0 for all")
	within[time.Duration](c.Flags(), "since", 1, unbounded)
	within(c.Flags(), "last", 0, journal.MaxLast)
	return c
}

// ran refuses the id of a request that the record does not know. A caller who may not read the record hears nothing of it.
func (a *app) ran(ctx context.Context, request string) error {
	if request == "" {
		return nil
	}
	err := a.call(ctx, "audit.show", node.IDQuestion{ID: request}, &audit.Entry{})
	if casemate.CodeOf(err) != casemate.NotFound {
		return nil
	}
	return casemate.Errorf(casemate.NotFound, "casemate audit list shows the ids; a run has its record when it is over", "there is no request %q, in the logs or in the record", request)
}

func (a *app) logLine(line []byte) error {
	if a.json {
		_, err := fmt.Fprintf(a.out, "%s\n", line)
		return err
	}
	var l casemate.LogLine
	if err := decode(line, &l); err != nil {
		return err
	}
	// An entry may have several lines, a traceback say, with newlines or carriage returns between them; the rest is
	// indented, so that no function can write what looks like another one's line.
	text := strings.Split(strings.ReplaceAll(strings.TrimRight(l.Text, "\r\n"), "\r", "\n"), "\n")
	for i := range text {
		text[i] = printable(text[i])
	}
	_, err := fmt.Fprintf(a.out, "%s  %-12s %-8.8s %s\n", l.At.Local().Format("15:04:05.000"), printable(l.Function), or(l.Request, "init"),
		strings.Join(text, "\n"+strings.Repeat(" ", 36)))
	return err
}

// stream asks the node for JSON lines about one resource, or all.
func (a *app) stream(ctx context.Context, resource, builtin string, in any, do func(line []byte) error) error {
	return a.withClient(func(c *admin.Client) error {
		err := c.On(resource).Stream(ctx, builtin, in, do)
		if ctx.Err() != nil {
			return nil // ended by the reader
		}
		return err
	})
}

func (a *app) withClient(do func(c *admin.Client) error) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	defer c.Close()
	return do(c)
}

func decode(line []byte, v any) error {
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("reading the node's answer: %w", err)
	}
	return nil
}

func encodeLine(w io.Writer, v any) error {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
