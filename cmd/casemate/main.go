// Command casemate is the whole product: the node, its command line and the workers that the node starts of itself.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/front/admin"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: the exit code is the code table's.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	a := &app{in: in, out: out, errs: errs}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	verb, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	e := asUsage(err, verb)
	if a.json {
		_ = json.NewEncoder(errs).Encode(map[string]any{"error": e.Body("")})
	} else {
		fmt.Fprintln(errs, "casemate: "+said(e))
		if e.Rule != "" {
			label := "rule"
			if e.Code == casemate.Forbidden {
				label = "decided by"
			}
			fmt.Fprintf(errs, "  %s: %s\n", label, e.Rule)
		}
		if e.Hint != "" {
			fmt.Fprintln(errs, "  hint: "+e.Hint)
		}
	}
	return e.Code.Exit()
}

// said is an error as people read it: a message that begins with a place in the manifest needs no JSON pointer before
// it, and editors can jump to it.
func said(e *casemate.Error) string {
	if placed.MatchString(e.Message) {
		return e.Message
	}
	return e.Error()
}

// placed is a message that begins with a place: casemate.yaml:3:5: ..., template.yaml:7:9: ...
var placed = regexp.MustCompile(`^[^\s:]+\.[A-Za-z]+:\d+:\d+: `)

// group makes a verb that only has verbs below it refuse one that is not there; cobra would print the help, and succeed.
func group(c *cobra.Command) *cobra.Command {
	c.DisableFlagsInUseLine, c.SuggestionsMinimumDistance = true, 2
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		e := casemate.Errorf(casemate.Invalid, c.CommandPath()+" --help lists what there is", "%s has no verb %q", c.CommandPath(), args[0])
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			e.Hint = "did you mean " + c.CommandPath() + " " + near[0] + "? " + e.Hint
		}
		return e
	}
	return c
}

// app is what every verb shares.
type app struct {
	in        io.Reader
	out, errs io.Writer
	json      bool
	dir       string // the node's folder
	url       string // a node elsewhere
	keyFile   string // key for it
	ca        string
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "casemate",
		Short: "Run Lambda and WebAssembly functions on your own machine, each in its own sandbox",
		Long: `Casemate runs existing AWS Lambda functions and WebAssembly functions on demand, each in its own sandbox, holding
exactly the permissions it was granted. Every event passes one corridor that authenticates, authorises, limits,
validates, meters and records it.

Start here:
  casemate init hello --language go    a folder with a function and a commented casemate.yaml
  casemate up                          a node on this machine, state in ./.casemate
  casemate deploy hello                build, plan and deploy it
  casemate keys create --role hello-caller   a key to call it with`,
		Version:       shownVersion(),
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	f := root.PersistentFlags()
	f.BoolVar(&a.json, "json", false, "print JSON for programs instead of tables for people")
	f.StringVar(&a.dir, "dir", envOr("CASEMATE_DIR", ".casemate"), "the node's folder; its socket is in there ($CASEMATE_DIR)")
	f.StringVar(&a.url, "url", os.Getenv("CASEMATE_URL"), "address of a node elsewhere: https://host:port ($CASEMATE_URL)")
	f.StringVar(&a.keyFile, "key-file", os.Getenv("CASEMATE_KEY_FILE"), "file with an API key: for --url, or to act with its role instead of as operator ($CASEMATE_KEY_FILE)")
	f.StringVar(&a.ca, "ca", os.Getenv("CASEMATE_CA"), "file with the authority that signed the certificate of --url ($CASEMATE_CA)")
	root.AddCommand(a.initCommand(), a.upCommand(), a.devCommand(), a.deployCommand(), a.diffCommand(), a.packageCommand(), a.deleteCommand(), a.rollbackCommand(), a.historyCommand(), a.listCommand(),
		a.invokeCommand(), a.logsCommand(), group(a.auditCommand()), group(a.policyCommand()), group(a.guardrailsCommand()), group(a.egressCommand()), group(a.keysCommand()), group(a.accessCommand()), group(a.operatorCommand()), a.loginCommand(), a.logoutCommand(), a.whoamiCommand(), group(a.sessionsCommand()), a.breakGlassCommand(), a.sendersCommand(), group(a.secretCommand()), a.usageCommand(), group(a.budgetCommand()), a.pricesCommand(), a.billCommand(), a.forecastCommand(), a.rightsizeCommand(), a.plansCommand(), group(a.scheduleCommand()), group(a.asyncCommand()), group(a.queueCommand()),
		a.postureCommand(), group(a.tlsCommand()), group(a.contractCommand()), a.screenCommand(), a.inspectCommand(), a.topCommand(), a.doctorCommand(), a.versionCommand(), a.manCommand(root))
	return root
}

// client speaks to the node: over its socket, or over TLS with a key or as who signed in when --url says so.
func (a *app) client() (*admin.Client, error) {
	if a.url == "" {
		c, err := dialLocal(a.dir)
		if err != nil || a.keyFile == "" {
			return c, err
		}
		return c.WithKey(a.keyFile)
	}
	if a.keyFile == "" {
		return a.remote()
	}
	return admin.DialTLS(a.url, a.keyFile, a.ca)
}

// call asks the node one thing about all there is.
func (a *app) call(ctx context.Context, builtin string, in, out any) error {
	return a.callOn(ctx, "", builtin, in, out)
}

// callOn asks about one named resource, which is what the policy then decides on.
func (a *app) callOn(ctx context.Context, resource, builtin string, in, out any) error {
	return a.withClient(func(c *admin.Client) error { return c.On(resource).Call(ctx, builtin, in, out) })
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
