package main

import (
	"fmt"
	"io"
	"mime"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/shield"
	"casemate/shield/screen"
)

// screened is what screening a sample came to.
type screened struct {
	Refused bool         `json:"refused"`
	Rule    string       `json:"rule,omitempty"` // that refuses
	Field   string       `json:"field,omitempty"`
	Why     string       `json:"why,omitempty"`
	Fields  []string     `json:"fields"`  // what was looked at, after decoding
	Matches []triggering `json:"matches"` // every rule that matched, enough to refuse or not
}

// triggering is a rule that matched at a place.
type triggering struct {
	Field   string `json:"field"`
	Rule    string `json:"rule"`
	Class   string `json:"class"`
	Refuses bool   `json:"refuses"` // by itself
	Message string `json:"message,omitempty"`
}

func (a *app) screenCommand() *cobra.Command {
	var s described
	var profile string
	c := &cobra.Command{Use: "screen [FILE]", Short: "Show what the screen for attacks sees in a request", Args: cobra.MaximumNArgs(1),
		Long: `Takes a body (a file, - for standard input), a query, headers or a path apart as the node does: JSON, forms, base64, URL and HTML
encodings, compression, down to the last value. Says which rules match where, and whether a node would refuse the request. The rules
are the OWASP Core Rule Set's and the shield's own; a rule of the set refuses only where the value has the structure of the attack,
unless --profile crs. Exit code 65: it would be refused. Nothing is sent anywhere.`,
		Example: `  casemate screen order.json
  echo '{"note":"1 UNION SELECT password FROM users"}' | casemate screen -
  casemate screen --query "q=%3Cscript%3E" --json`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				s.body = args[0]
			}
			return a.screenSample(&s, profile)
		}}
	f := c.Flags()
	f.StringVar(&s.contentType, "content-type", "application/json", "content type of the body")
	f.StringVar(&s.query, "query", "", "query of the request, encoded, without its question mark")
	f.StringArrayVar(&s.params, "param", nil, "path parameter as NAME=VALUE, decoded; may be given several times")
	f.StringArrayVar(&s.headers, "header", nil, "header as \"Name: value\"; may be given several times")
	f.StringVar(&profile, "profile", "casemate", "casemate, or crs: as the rule set alone refuses")
	return c
}

func (a *app) screenSample(s *described, profile string) error {
	if profile != "casemate" && profile != casemate.ScreenCRS {
		return casemate.Errorf(casemate.Invalid, "casemate or crs", "there is no profile %q", profile)
	}
	body, err := a.sampleBody(s.body)
	if err != nil {
		return err
	}
	m := &casemate.Match{Version: &casemate.Version{}, Route: &casemate.Route{}}
	if profile == casemate.ScreenCRS {
		m.Route.Screen.Profile = profile
	}
	if m.Params, err = pairsOf(s.params, "="); err != nil {
		return err
	}
	lines, err := pairsOf(s.headers, ":")
	if err != nil {
		return err
	}
	if _, _, err := mime.ParseMediaType(s.contentType); err != nil {
		return casemate.Errorf(casemate.Invalid, "application/json, text/plain, ...", "%q is no content type", s.contentType)
	}
	out, err := screenRequest(m, &casemate.Event{Query: s.query, ContentType: s.contentType, Headers: seq(lines)}, body)
	if err != nil {
		return err
	}
	if err := a.show(out, func(w io.Writer) { printScreened(w, out) }); err != nil || !out.Refused {
		return err
	}
	return casemate.Errorf(casemate.Invalid, "if it is no attack: screen: {except: [{rule: "+out.Rule+", field: "+out.Field+", reason: ..., expires: ...}]} on its route", "%s", out.Why)
}

// screenRequest has the shield look at a request, and tells all that it saw.
func screenRequest(m *casemate.Match, e *casemate.Event, body []byte) (*screened, error) {
	engine, err := screen.New(screen.Config{Attacks: true})
	if err != nil {
		return nil, err
	}
	out := &screened{Fields: []string{}, Matches: []triggering{}}
	judge := shield.Screening{Engine: func() (*screen.Engine, error) { return engine, nil }, Now: time.Now}.Judge
	_, err = shield.Cleaner{Judge: func(m *casemate.Match, e *casemate.Event, fields []casemate.Field, found []shield.Found, over error) ([]string, error) {
		for _, f := range fields {
			out.Fields = append(out.Fields, shield.Place(f.In, f.Name))
		}
		for _, f := range found {
			out.Matches = append(out.Matches, triggering{shield.Place(f.In, f.Where), f.Rule, string(f.Class), f.Score >= 5, ""})
		}
		for _, v := range engine.Fields(fields, screen.Options{}).Matches {
			if v.Severity != "" && v.In != "" {
				out.Matches = append(out.Matches, triggering{shield.Place(v.In, v.Name), fmt.Sprint(v.ID), v.Class, v.Confirmed, v.Message})
			}
		}
		return judge(m, e, fields, found, over)
	}}.Clean(m, e, body)
	if err != nil {
		why := casemate.AsError(err)
		out.Refused, out.Rule, out.Field, out.Why = true, why.Rule, why.Field, why.Message
	}
	return out, nil
}

func (a *app) sampleBody(name string) (body []byte, err error) {
	switch name {
	case "":
		return nil, nil
	case "-":
		body, err = io.ReadAll(io.LimitReader(a.in, 64<<20))
	default:
		body, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, casemate.Errorf(casemate.Invalid, "name a file, or - for standard input", "reading the body: %w", err)
	}
	return body, nil
}

func printScreened(w io.Writer, s *screened) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, m := range s.Matches {
		what := "note"
		if m.Refuses {
			what = "refuses"
		}
		fmt.Fprintln(t, strings.Join([]string{m.Field, m.Rule, m.Class, what, m.Message}, "\t"))
	}
	_ = t.Flush()
	verdict := "it would pass"
	if s.Refused {
		verdict = "it would be refused: " + s.Field + " by rule " + s.Rule
	}
	fmt.Fprintf(w, "%d values looked at, %d rules matched: %s\n", len(s.Fields), len(s.Matches), verdict)
}
