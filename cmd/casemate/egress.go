package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/audit"
	"casemate/policy"
)

// parseResolve reads --resolve, as curl has it: NAME:PORT=ADDRESS:PORT.
func parseResolve(all []string) (map[string]netip.AddrPort, error) {
	pinned := map[string]netip.AddrPort{}
	for _, text := range all {
		name, address, _ := strings.Cut(text, "=")
		at, err := netip.ParseAddrPort(address)
		if err != nil || name != strings.ToLower(name) || !strings.Contains(name, ":") {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: "--resolve", Message: fmt.Sprintf("%q is not NAME:PORT=ADDRESS:PORT", text),
				Hint: "api.example.test:443=127.0.0.1:8443"}
		}
		pinned[name] = at
	}
	return pinned, nil
}

func (a *app) egressCommand() *cobra.Command {
	c := &cobra.Command{Use: "egress", Short: "Show where functions went, and propose grants for where they could not",
		Long: "A function reaches the hosts and ports that its grants name and nothing else. These verbs read the record: who went\nwhere, how much, and what was refused."}
	c.AddCommand(a.egressList(), a.egressLearn())
	return c
}

// lookback is how far and for whom the record is read.
type lookback struct {
	since time.Duration
	f     audit.Filter
}

func (l *lookback) flags(c *cobra.Command) {
	c.Flags().DurationVar(&l.since, "since", 24*time.Hour, "only so far back: 15m, 24h")
	c.Flags().IntVarP(&l.f.Limit, "limit", "n", 10_000, "read at most so many records, the newest")
	within[time.Duration](c.Flags(), "since", 1, unbounded)
	within(c.Flags(), "limit", 1, 10_000)
}

// effects are what functions did and tried outside, of the newest records.
func (a *app) effects(ctx context.Context, l *lookback, args []string) ([]audit.Entry, error) {
	if len(args) > 0 {
		l.f.Function = args[0]
	}
	if l.since > 0 {
		l.f.From = time.Now().Add(-l.since)
	}
	l.f.Newest = true
	var list []audit.Entry
	err := a.call(ctx, "audit.list", l.f, &list)
	if err == nil && len(list) == 0 {
		err = a.known(ctx, functionNoun, l.f.Function)
	}
	return list, err
}

// reach is what one function did with one host.
type reach struct {
	Function    string    `json:"function"`
	Host        string    `json:"host"` // name or address, with its port where it is known
	Connections int       `json:"connections"`
	In          int64     `json:"in_bytes"`
	Out         int64     `json:"out_bytes"`
	Refused     int       `json:"refused"`
	Grant       string    `json:"grant,omitempty"` // that would allow what was refused
	Reason      string    `json:"reason,omitempty"`
	Last        time.Time `json:"last"`
}

// reaches sums effects per function and host, sorted by both.
func reaches(list []audit.Entry) []reach {
	sums := map[[2]string]*reach{}
	for i := range list {
		r := &list[i].Record
		for _, e := range r.Effects {
			if e.Kind != casemate.EffectConnect && e.Kind != casemate.EffectResolve {
				continue
			}
			key := [2]string{r.Function, e.Target}
			s := sums[key]
			if s == nil {
				s = &reach{Function: r.Function, Host: e.Target}
				sums[key] = s
			}
			if e.Verdict == casemate.Allowed {
				s.Connections += e.Count
				s.In += e.In
				s.Out += e.Out
			} else {
				s.Refused += max(e.Count, 1)
				s.Grant, s.Reason = cmp.Or(s.Grant, e.Grant), e.Reason
			}
			if e.At.After(s.Last) {
				s.Last = e.At
			}
		}
	}
	out := make([]reach, 0, len(sums))
	for _, s := range sums {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b reach) int {
		return cmp.Or(strings.Compare(a.Function, b.Function), strings.Compare(a.Host, b.Host))
	})
	return out
}

func (a *app) egressList() *cobra.Command {
	var l lookback
	c := &cobra.Command{Use: "list [FUNCTION]", Short: "List hosts per function: connections, bytes, refusals", Args: cobra.MaximumNArgs(1),
		Example: "  casemate egress list\n  casemate egress list orders --since 1h --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := a.effects(cmd.Context(), &l, args)
			if err != nil {
				return err
			}
			rs := reaches(list)
			return a.show(rs, func(w io.Writer) {
				t := newTable("FUNCTION", "HOST", "CONNECTIONS", "IN", "OUT", "REFUSED", "WHY", "LAST")
				for _, r := range rs {
					t.add(r.Function, r.Host, fmt.Sprint(r.Connections), size(r.In), size(r.Out), fmt.Sprint(r.Refused), or(r.Reason, "-"), r.Last.Local().Format("2006-01-02 15:04:05"))
				}
				t.print(w)
			})
		}}
	l.flags(c)
	return c
}

// lesson is what one function would need.
type lesson struct {
	Function string   `json:"function"`
	Grants   []string `json:"grants"`            // to be pasted
	Refused  []string `json:"refused,omitempty"` // that no grant is proposed for, each with its reason
	Assumed  []string `json:"assumed,omitempty"` // grants whose port was never seen, only the question for the name
}

// execute comes before a program where others have their host.
const execute = "execute "

// inside are the refusals of what is not a host, in the order of the record: services, secrets, other functions, programs.
// A target that was allowed as well has its grant by now.
func inside(list []audit.Entry) (rs []reach) {
	at := map[[2]string]int{}
	for i := range list {
		r := &list[i].Record
		for _, e := range r.Effects {
			x := reach{Function: r.Function, Host: e.Target, Reason: e.Reason}
			switch e.Kind {
			case casemate.EffectService:
				action, resource, _ := strings.Cut(e.Target, " ")
				x.Grant, _ = policy.ShortGrant(action, resource)
				x.Reason, _, _ = strings.Cut(e.Reason, ":")
			case casemate.EffectExec:
				x.Host = execute + e.Target
			default:
				continue
			}
			key := [2]string{x.Function, x.Host}
			j, seen := at[key]
			if !seen {
				j, rs = len(rs), append(rs, x)
				at[key] = j
			}
			if e.Verdict == casemate.Allowed {
				rs[j].Connections++
			} else {
				rs[j].Refused++
			}
		}
	}
	return rs
}

// lessons proposes the fewest grants for what was refused. A question for a name says no port: its 443 is proposed only
// when no connection to the name on another port is. Addresses are for people to judge: a function that dials one was
// often made to. So are programs.
func lessons(rs []reach) []lesson {
	byFunction := map[string]*lesson{}
	for _, r := range rs {
		granted := r.Connections > 0 && (r.Grant != "" || strings.HasPrefix(r.Host, execute))
		if r.Refused == 0 || r.Function == "" || granted {
			continue
		}
		l := byFunction[r.Function]
		if l == nil {
			l = &lesson{Function: r.Function, Grants: []string{}}
			byFunction[r.Function] = l
		}
		asked := !strings.Contains(r.Host, ":") // a question for a name
		switch {
		case strings.HasPrefix(r.Grant, "connect ") && strings.Contains(r.Grant, "/"):
			l.Refused = append(l.Refused, r.Host+": "+r.Reason+"; an address is yours to judge")
		case r.Grant == "":
			l.Refused = append(l.Refused, r.Host+": "+r.Reason)
		case asked && slices.ContainsFunc(rs, func(o reach) bool { return o.Function == r.Function && strings.HasPrefix(o.Host, r.Host+":") }):
		default:
			l.Grants = append(l.Grants, r.Grant)
			if asked {
				l.Assumed = append(l.Assumed, r.Grant)
			}
		}
	}
	var out []lesson
	for _, name := range slices.Sorted(maps.Keys(byFunction)) {
		l := byFunction[name]
		if len(l.Grants)+len(l.Refused) == 0 {
			continue // granted since
		}
		slices.Sort(l.Grants)
		l.Grants = slices.Compact(l.Grants)
		out = append(out, *l)
	}
	return out
}

func (a *app) egressLearn() *cobra.Command {
	var l lookback
	c := &cobra.Command{Use: "learn [FUNCTION]", Short: "Propose grants for what functions were refused, to paste into the manifest", Args: cobra.MaximumNArgs(1),
		Long:    "Reads what functions tried to reach and were refused, and prints the grants that would allow it and no more: hosts,\nsecrets, other functions. Look at each before you paste it: a function that was taken over asks as well.",
		Example: "  casemate egress learn orders --since 10m",
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := a.effects(cmd.Context(), &l, args)
			if err != nil {
				return err
			}
			ls := lessons(append(reaches(list), inside(list)...))
			return a.show(ls, func(w io.Writer) { lessonPage(w, ls) })
		}}
	l.flags(c)
	return c
}

func lessonPage(w io.Writer, ls []lesson) {
	if len(ls) == 0 {
		fmt.Fprintln(w, "# nothing was refused")
		return
	}
	fmt.Fprintln(w, "functions:")
	for _, l := range ls {
		fmt.Fprintf(w, "  %s:\n", printable(l.Function))
		if len(l.Grants) > 0 { // a key without a value is an error in the manifest
			fmt.Fprintln(w, "    grants:")
		}
		for _, g := range l.Grants {
			note := ""
			if slices.Contains(l.Assumed, g) {
				note = " # the port is a guess: only the name was asked for"
			}
			fmt.Fprintf(w, "      - %s%s\n", printable(g), note)
		}
		for _, r := range l.Refused {
			fmt.Fprintf(w, "      # not proposed: %s\n", printable(r))
		}
	}
}
