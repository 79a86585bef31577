package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/front/admin"
)

// invocation is what `casemate invoke --json` prints.
type invocation struct {
	Record   string           `json:"record"`
	Accepted bool             `json:"accepted,omitempty"`
	Executed string           `json:"executed_version,omitempty"`
	Failure  casemate.Failure `json:"failure,omitempty"`
	Usage    casemate.Usage   `json:"usage"`
	Refused  int              `json:"refused,omitempty"` // what it tried and was not allowed; the record has all of it
	Payload  string           `json:"payload"`
	Tail     string           `json:"log_tail,omitempty"`
}

func (a *app) invokeCommand() *cobra.Command {
	var data string
	var in admin.Invocation
	var tail bool
	c := &cobra.Command{Use: "invoke FUNCTION", Short: "Call a function with an event, as its operator", Args: cobra.ExactArgs(1),
		Long:    "Calls a function by name, \"name:version\" or ARN with a JSON event. The call passes the corridor like any other.\nExits 1 when the function fails.",
		Example: "  casemate invoke price --data '{\"items\":[]}'\n  casemate invoke report --async --data @event.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if in.Payload, err = payload(a.in, data); err != nil {
				return err
			}
			return a.withClient(func(c *admin.Client) error {
				res, err := c.Invoke(cmd.Context(), args[0], in)
				if err != nil {
					return a.near(cmd.Context(), err, functionNoun, args[0])
				}
				return a.invoked(res, tail)
			})
		}}
	c.Flags().StringVarP(&data, "data", "d", "", "the event: JSON, @FILE, or - for standard input (default {})")
	c.Flags().BoolVar(&in.Async, "async", false, "queue it durably and return at once")
	c.Flags().BoolVar(&in.DryRun, "dry-run", false, "ask every check, run nothing")
	c.Flags().StringVar(&in.Tenant, "tenant", "", "tenant id, for a function of isolation tenant")
	c.Flags().StringVar(&in.Key, "idempotency-key", "", "with --async: the same key within an hour queues the event once")
	c.Flags().BoolVar(&tail, "tail", false, "print the end of the run's log to standard error")
	return c
}

// payload reads an event as curl's --data does.
func payload(in io.Reader, data string) ([]byte, error) {
	switch {
	case data == "-":
		return readAll(in)
	case len(data) > 0 && data[0] == '@':
		f, err := os.Open(data[1:])
		if err != nil {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: "--data", Message: "the file cannot be opened", Hint: "@FILE names a file with the event", Err: err}
		}
		defer f.Close()
		return readAll(f)
	}
	return []byte(data), nil
}

func readAll(r io.Reader) ([]byte, error) {
	limit := casemate.DefaultLimits().Request
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the event: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, casemate.Errorf(casemate.TooLarge, "send less", "the event is larger than %d bytes", limit)
	}
	return b, nil
}

func (a *app) invoked(res *casemate.Result, tail bool) error {
	out := invocation{Record: res.Record, Accepted: res.Accepted, Executed: res.Executed, Failure: res.Failure, Usage: res.Usage, Payload: string(res.Payload), Tail: string(res.Tail)}
	for _, e := range res.Effects {
		out.Refused += e.Count
	}
	err := a.show(out, func(w io.Writer) {
		switch {
		case res.Accepted:
			fmt.Fprintf(w, "queued as %s\n", res.Record)
		default:
			fmt.Fprintf(w, "%s\n", forTerminal(w, bytes.TrimRight(res.Payload, "\n")))
			for _, e := range res.Effects {
				fmt.Fprintf(a.errs, "%d refused: %s %s; casemate audit show %s says what would allow it\n", e.Count, e.Kind, printable(e.Target), res.Record)
			}
			fmt.Fprintf(a.errs, "%s, wall %s, CPU %s, peak %s, record %s\n", temperature(res.Usage), duration(res.Usage.Wall), duration(res.Usage.CPU), size(res.Usage.PeakBytes), res.Record)
		}
		if tail {
			fmt.Fprint(a.errs, printableLines(string(res.Tail)))
		}
	})
	if err == nil && res.Failure != casemate.FailureNone {
		err = casemate.Errorf(casemate.FunctionFailed, "casemate logs --request "+res.Record+" shows what it wrote", "the function failed: %s", res.Failure)
	}
	return err
}
