package main

import (
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/shield"
)

func (a *app) contractCommand() *cobra.Command {
	c := &cobra.Command{Use: "contract", Short: "Check contracts and requests against them, learn one from traffic",
		Long: `A contract says what a route takes and answers (OpenAPI), or what messages hold (AsyncAPI, JSON Schema). What it does not
name is refused: unknown members, parameters, media types, statuses.`}
	c.AddCommand(a.contractCheck(), a.contractLearn(), a.contractInfer())
	return c
}

// checked is what became of one contract of a document, and of a request that was held to it.
type checked struct {
	Contract string   `json:"contract"` // operation or message; "" is the whole document
	OK       bool     `json:"ok"`
	Error    string   `json:"error,omitempty"`
	Hint     string   `json:"hint,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Request  *verdict `json:"request,omitempty"`
}

// verdict is what a contract says of one request or answer.
type verdict struct {
	OK    bool     `json:"ok"`
	Field string   `json:"field,omitempty"`
	Rule  string   `json:"rule,omitempty"`
	Why   string   `json:"why,omitempty"`
	Free  []string `json:"free,omitempty"` // what is left free, and screened
}

// described is a request, or an answer, as flags describe it.
type described struct {
	where, pointer, message  string
	body, contentType, query string
	headers, params          []string
	status                   int
}

func (a *app) contractCheck() *cobra.Command {
	var s described
	c := &cobra.Command{Use: "check FILE [BODY]", Short: "Check a contract, and a request against it, without a node", Args: cobra.RangeArgs(1, 2),
		Long: `Reads an OpenAPI, AsyncAPI or JSON Schema document as a deployment does. Without --operation every operation and message in
it is checked; with it, and a BODY (a file, - for standard input), a request is held to it: what is wrong is named, or else what is
left as free text, which is what gets screened for injection. --status holds an answer instead. Exit code 65 means that something
did not hold.`,
		Example: `  casemate contract check openapi.yaml
  casemate contract check openapi.yaml --operation "POST /orders" order.json
  casemate contract check openapi.yaml --operation "GET /prices/{sku}" --param sku=tea --query currency=EUR
  echo '{"id":1}' | casemate contract check openapi.yaml --operation "POST /orders" --status 201 -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				s.body = args[1]
			}
			return a.checkContract(args[0], &s, len(args) > 1 || cmd.Flags().Changed("query") || cmd.Flags().Changed("param") || cmd.Flags().Changed("header") || s.status > 0)
		}}
	f := c.Flags()
	f.StringVar(&s.where, "operation", "", "only this operation of an OpenAPI document: \"POST /orders\"")
	f.StringVar(&s.pointer, "pointer", "", "JSON pointer to the schema of a body")
	f.StringVar(&s.message, "message", "", "only this message of an AsyncAPI document")
	f.StringVar(&s.contentType, "content-type", "application/json", "content type of BODY")
	f.StringVar(&s.query, "query", "", "query of the request, encoded, without its question mark")
	f.StringArrayVar(&s.params, "param", nil, "path parameter as NAME=VALUE, decoded; may be given several times")
	f.StringArrayVar(&s.headers, "header", nil, "header as \"Name: value\"; may be given several times")
	f.IntVar(&s.status, "status", 0, "BODY is an answer with this status")
	within(f, "status", 100, 599)
	return c
}

// checkContract holds a document, and a request where one is given, and shows what came of it.
func (a *app) checkContract(file string, s *described, request bool) error {
	doc, err := os.ReadFile(file)
	if err != nil {
		return casemate.Errorf(casemate.Invalid, "name a document", "reading the contract: %w", err)
	}
	where := []string{s.where + s.pointer}
	switch {
	case s.message != "":
		where = []string{"message " + s.message}
	case where[0] == "" && !request:
		if where, err = shield.Contracts(doc); err != nil {
			return casemate.Errorf(casemate.Invalid, "a contract is a YAML or JSON document", "%s:%w", file, err)
		}
	}
	var all []checked
	bad := len(where) == 0
	for _, w := range where {
		one := checked{Contract: w}
		contract, err := shield.Compile(doc, w, file)
		if err != nil {
			one.Error, one.Hint = err.Error(), casemate.AsError(err).Hint
		} else if one.OK = true; request {
			if one.Request, err = a.hold(contract, s); err != nil {
				return err
			}
			one.OK = one.Request.OK
		}
		if c, ok := contract.(interface{ Warnings() []string }); ok {
			one.Warnings = c.Warnings()
		}
		all, bad = append(all, one), bad || !one.OK
	}
	if err := a.show(all, func(w io.Writer) { printChecked(w, all) }); err != nil || !bad {
		return err
	}
	if request && len(all) == 1 && all[0].Error == "" { // the document is well
		return casemate.Errorf(casemate.Invalid, "mend what is named above", "the request does not hold to %s", file)
	}
	return casemate.Errorf(casemate.Invalid, "mend what is named above", "%s does not hold", file)
}

// hold holds the sample to a contract.
func (a *app) hold(c casemate.Contract, s *described) (*verdict, error) {
	var body []byte
	var err error
	switch s.body {
	case "":
	case "-":
		body, err = io.ReadAll(io.LimitReader(a.in, 64<<20))
	default:
		body, err = os.ReadFile(s.body)
	}
	if err != nil {
		return nil, casemate.Errorf(casemate.Invalid, "name a file, or - for standard input", "reading the body: %w", err)
	}
	lines, err := pairsOf(s.headers, ":")
	if err != nil {
		return nil, err
	}
	params, err := pairsOf(s.params, "=")
	if err != nil {
		return nil, err
	}
	v := &verdict{}
	if s.status > 0 {
		answer := &casemate.Answer{Status: s.status, Body: body, Header: []casemate.HeaderLine{{Name: "content-type", Value: s.contentType}}}
		for name, value := range lines {
			answer.Header = append(answer.Header, casemate.HeaderLine{Name: strings.ToLower(name), Value: value})
		}
		err = c.Answer(answer)
	} else {
		x := &casemate.Exchange{Params: params, Query: s.query, ContentType: s.contentType, Body: body, Headers: seq(lines)}
		x.Header = func(want string) (out []string) {
			for name, value := range lines {
				if strings.EqualFold(name, want) {
					out = append(out, value)
				}
			}
			return out
		}
		var free []casemate.Field
		free, err = c.Check(x)
		for _, f := range free {
			v.Free = append(v.Free, f.In+" "+f.Name)
		}
	}
	if v.OK = err == nil; err != nil {
		e := casemate.AsError(err)
		v.Field, v.Rule, v.Why = e.Field, e.Rule, e.Message
	}
	return v, nil
}

func seq(lines map[string]string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, value := range lines {
			if !yield(name, value) {
				return
			}
		}
	}
}

func pairsOf(list []string, sep string) (map[string]string, error) {
	out := map[string]string{}
	for _, text := range list {
		name, value, ok := strings.Cut(text, sep)
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, casemate.Errorf(casemate.Invalid, "NAME"+sep+"VALUE", "%q is no pair", text)
		}
		out[name] = strings.TrimSpace(value)
	}
	return out, nil
}

func printChecked(w io.Writer, all []checked) {
	for _, c := range all {
		name := c.Contract
		if name == "" {
			name = "the document"
		}
		switch {
		case c.Error != "":
			fmt.Fprintf(w, "refused  %s\n         %s\n", name, c.Error)
		case c.Request == nil:
			fmt.Fprintf(w, "ok       %s\n", name)
		case !c.Request.OK:
			fmt.Fprintf(w, "refused  %s\n         %s\n", name, c.Request.Why)
		default:
			fmt.Fprintf(w, "taken    %s\n", name)
			for _, f := range c.Request.Free {
				fmt.Fprintf(w, "         free text, screened: %s\n", f)
			}
		}
		for _, text := range c.Warnings {
			fmt.Fprintf(w, "         warning: %s\n", text)
		}
	}
	if len(all) == 0 {
		fmt.Fprintln(w, "the document has no operation and no message")
	}
}
