package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"casemate"
	"casemate/deploy"
	"casemate/deploy/bundle"
	"casemate/deploy/manifest"
	"casemate/dev"
	"casemate/node"
)

// maxChecked bounds the scripts that one change has parsed before it is deployed.
const maxChecked = 20

// devGrace is what runs get to end at Ctrl-C: one that stands at a breakpoint never would.
const devGrace = 2 * time.Second

// loop is one session of casemate dev.
type loop struct {
	a         *app
	p         project
	at        string // as it was named
	dir, file string
	feed      *dev.Feed
	watch     *dev.Watcher
	address   node.Address
	showKey   bool
	inspect   []string          // functions with a debugger's port
	built     map[string]string // command that a function was built with
	pending   []string          // changed since the last deploy that went well
	key       sessionKey
	noted     string // what was last noted about the app beside its changes
	said      string // how things are called, as it was last printed
}

func (a *app) devCommand() *cobra.Command {
	var f upFlags
	f.add(pflag.NewFlagSet("up", pflag.ContinueOnError)) // what is not offered here is as casemate up has it
	l := &loop{a: a, built: map[string]string{}}
	c := &cobra.Command{Use: "dev [FOLDER | TEMPLATE]", Short: "Develop: a node of your own, redeployed at every save, with its logs and decisions", Args: cobra.MaximumNArgs(1),
		Long: `Brings up a node for this session, builds and deploys the app in FOLDER (default: here) or of a SAM TEMPLATE, prints how to
call each route and function, and watches: what is saved is built where it must be, and deployed. What does not hold is told
with file:line:column, and the version before serves on. Logs and decisions follow in one stream; a refusal says what would
allow it. Ctrl-C ends all of it.

The node has the walls of casemate up, listens on loopback alone, and keeps its state in the folder dev below --dir's default
(.casemate/dev), or in --dir. Other verbs reach it by --dir. The key it makes for the session is in its folder
(session.key, mode 0600), opens the routes of this app alone, and is revoked at the end.`,
		Example: "  casemate dev hello\n  casemate dev hello --inspect :9229\n  casemate dev template.yaml --http 127.0.0.1:3000\n  casemate --dir .casemate/dev invoke hello",
		RunE: func(cmd *cobra.Command, args []string) error {
			if l.at = "."; len(args) > 0 {
				l.at = args[0]
			}
			if cmd.Flags().Changed("url") {
				return &casemate.Error{Code: casemate.Invalid, Field: "--url", Message: "casemate dev brings up a node of its own", Hint: "casemate deploy --url deploys elsewhere"}
			}
			if a.url, a.keyFile = "", ""; !cmd.Flags().Changed("dir") {
				a.dir = filepath.Join(a.dir, "dev")
			}
			return l.run(cmd.Context(), &f)
		}}
	l.p.flags(c)
	fl := c.Flags()
	fl.StringVar(&f.http, "http", "127.0.0.1:0", "plain HTTP address, loopback only; port 0 is a free one")
	fl.StringVar(&f.aws, "aws", "127.0.0.1:0", "address of AWS's services for clients outside (AWS_ENDPOINT_URL), loopback only; '' is off")
	fl.BoolVar(&f.weak, "allow-weak-sandbox", false, "run functions although walls are missing (casemate doctor lists them); every record says so")
	fl.StringVar(&f.nodeSDK, "node-sdk", "", "folder with the AWS SDK for JavaScript that functions of Node find, as of casemate up")
	fl.StringVar(&f.logLevel, "log-level", "warn", "of the node's own log: debug, info, warn or error")
	fl.StringArrayVar(&l.inspect, "inspect", nil, "FUNCTION[:PORT]: a port for a debugger of Node (9229) or Python (5678), loopback only; :PORT alone where one function has such a runtime; may be repeated. Nothing waits for the debugger before the initialisation, as --inspect-brk of node does")
	fl.BoolVar(&l.showKey, "show-key", false, "print the session's key in the curl lines, instead of where it is")
	f.https, f.grace = "", devGrace
	return c
}

// onlyLoopback refuses what would let others in: the names of --http and --aws.
func onlyLoopback(flag, addr string) error {
	at, err := netip.ParseAddrPort(strings.Replace(addr, "localhost:", "127.0.0.1:", 1))
	if err == nil && at.Addr().IsLoopback() {
		return nil
	}
	return &casemate.Error{Code: casemate.Invalid, Field: flag, Message: "casemate dev listens on loopback alone", Hint: "127.0.0.1:3000, or 127.0.0.1:0 for a free port; casemate up serves others", Err: err}
}

// run brings the node up, has the session in it, and ends both.
func (l *loop) run(ctx context.Context, f *upFlags) error {
	var bundle bool
	var err error
	if l.dir, l.file, bundle, err = find(l.at); err == nil {
		err = regular(l.dir, l.file, bundle)
	}
	if err != nil {
		return err
	}
	if bundle {
		return casemate.Errorf(casemate.Invalid, "casemate up and casemate deploy take a bundle", "%s is packed: there is nothing in it to edit", l.at)
	}
	if err := onlyLoopback("--http", f.http); err != nil {
		return err
	}
	if f.aws != "" {
		if err := onlyLoopback("--aws", f.aws); err != nil {
			return err
		}
	}
	cfg, err := l.a.nodeConfig(f)
	if err != nil {
		return err
	}
	if cfg.Debug, err = l.debuggers(); err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx)) // the node outlives Ctrl-C by the end of the session
	defer stop()
	session, over := context.WithCancel(ctx)
	defer over()
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { // ended is read on every way below
		ended <- l.a.up(serving, cfg, func(ad node.Address) error { l.address = ad; close(ready); return nil })
		over()
	}()
	select {
	case <-ready:
		err = l.session(session)
	case <-session.Done():
	}
	stop()
	return errors.Join(err, <-ended)
}

func (l *loop) session(ctx context.Context) (err error) {
	l.feed = &dev.Feed{Out: l.a.out, JSON: l.a.json, Colour: colourful(l.a.out), Clean: printable, Now: time.Now}
	root, err := filepath.Abs(l.dir)
	if err != nil {
		return fmt.Errorf("finding the folder: %w", err)
	}
	state, err := filepath.Abs(l.a.dir)
	if err != nil {
		return fmt.Errorf("finding the node's folder: %w", err)
	}
	l.watch, err = dev.Watch(root, func(text string) { l.feed.Say("note", map[string]any{"note": text}, text) }, state, writtenTo(os.Stdout), writtenTo(os.Stderr))
	if err != nil {
		return err
	}
	defer l.watch.Close()
	defer func() { err = errors.Join(err, l.key.end(l.a)) }()
	l.feed.Say("ready", map[string]any{"address": l.address, "dir": l.a.dir}, "casemate dev: "+strings.Join(l.address.HTTP, " ")+", state in "+l.a.dir+", watching "+l.dir+l.endpoint())
	if err := l.sayDebuggers(); err != nil {
		return err
	}
	tails, err := l.tail(ctx)
	if err != nil {
		return err
	}
	defer tails.Wait() // they end with ctx, which is over or ended below
	l.round(ctx, nil, time.Now())
	for {
		changed, first, err := l.watch.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			l.feed.Fail(err)
			continue
		}
		l.round(ctx, changed, first)
	}
}

// endpoint says where AWS's services are for clients outside.
func (l *loop) endpoint() string {
	if l.address.AWS == "" {
		return ""
	}
	return "\n  AWS_ENDPOINT_URL=" + l.address.AWS + " (casemate --dir " + l.a.dir + " access create makes the credentials)"
}

// writtenTo is the file that an output was sent to, if any: what the loop says of a change is no change.
func writtenTo(f *os.File) string {
	at, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return ""
	}
	return at
}

// colourful says whether w is a person's terminal, who has not asked for plain text (no-color.org).
func colourful(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(f.Fd()))
}

// round brings what changed in force, and tells how long that took since the first notice of it.
func (l *loop) round(ctx context.Context, changed []string, first time.Time) {
	l.pending = append(l.pending, changed...)
	out, app, err := l.deploy(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		l.feed.Fail(asInvalid(err))
		return
	}
	l.pending = nil
	took, what := time.Since(first), "save"
	if changed == nil {
		what = "start"
	}
	switch {
	case out.Changed:
		l.feed.Say("deployed", map[string]any{"app": app, "generation": out.Generation, "versions": out.Versions, "took_ms": took.Milliseconds()},
			l.news(out.Plan)+fmt.Sprintf("generation %d is in force, %s after the %s", out.Generation, took.Round(time.Millisecond), what))
	case changed != nil:
		text := fmt.Sprintf("generation %d is in force already: nothing to change", out.Generation)
		l.feed.Say("unchanged", map[string]any{"app": app, "generation": out.Generation, "took_ms": took.Milliseconds()}, text)
	}
	if err := l.calls(ctx, app); err != nil && ctx.Err() == nil {
		l.feed.Fail(err)
	}
}

// news is a plan as a person reads it, without the notes that were told with the one before.
func (l *loop) news(p *deploy.Plan) string {
	notes := *p
	notes.Changes, notes.Generation = nil, 1
	shown, told := *p, l.noted
	if l.noted = notes.String(); told == l.noted {
		shown.Template, shown.Warnings = nil, nil
	}
	return shown.String()
}

func (l *loop) deploy(ctx context.Context) (out deploy.Outcome, app string, err error) {
	m, err := l.manifest()
	if err != nil {
		return out, "", err
	}
	if err := l.check(ctx, m); err != nil {
		return out, "", err
	}
	if err := l.build(ctx, m); err != nil {
		return out, "", err
	}
	p := l.p
	p.noBuild = true
	err = l.a.packed(ctx, &p, []string{l.at}, func(name string, bundle *os.File) error {
		app = name
		return l.a.upload(ctx, name, "deploy.apply", bundle, &out)
	})
	return out, app, err
}

func (l *loop) manifest() (*manifest.Manifest, error) {
	if l.file == "" {
		text, err := os.ReadFile(filepath.Join(l.dir, manifest.File))
		if err != nil {
			return nil, fmt.Errorf("reading the manifest: %w", err)
		}
		return manifest.Parse(manifest.File, text, settingNow())
	}
	q, err := l.p.template(l.dir, l.file)
	if err != nil {
		return nil, err
	}
	m, _, err := bundle.ReadTemplate(l.dir, l.file, settingNow(), q)
	return m, err
}

// build runs the commands whose inputs changed, and takes what they wrote as known.
func (l *loop) build(ctx context.Context, m *manifest.Manifest) error {
	if l.p.noBuild {
		return nil
	}
	parts := make([]dev.Part, 0, len(m.Functions))
	for name, f := range m.Functions {
		parts = append(parts, dev.Part{Name: name, Code: f.Code, Build: f.Build, Built: l.built[name]})
	}
	some := *m
	some.Functions = map[string]*manifest.Function{}
	for _, name := range dev.Affected(parts, l.pending, or(l.file, manifest.File)) {
		some.Functions[name] = m.Functions[name]
		delete(l.built, name)
	}
	if len(some.Functions) == 0 {
		return nil
	}
	if err := l.a.build(ctx, l.dir, &some); err != nil {
		return err
	}
	for name, f := range some.Functions {
		l.built[name] = f.Build
	}
	_, err := l.watch.Settle()
	return err
}

// check has changed scripts parsed before they are deployed: what would fail at its first event leaves the old version alone.
func (l *loop) check(ctx context.Context, m *manifest.Manifest) error {
	checked := 0
	for _, file := range l.pending {
		for _, f := range m.Functions {
			r := casemate.Runtime(f.Runtime)
			c, ok := dev.CheckerOf(r.Family(), f.Runtime, file)
			if !ok || !dev.Within(f.Code, file) {
				continue
			}
			if checked++; checked > maxChecked {
				return nil
			}
			if err := parse(ctx, c, l.dir, file); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// parse asks the first of the checker's programs that has an opinion: one that cannot run says nothing of the file.
func parse(ctx context.Context, c dev.Checker, dir, file string) error {
	at, err := filepath.Abs(filepath.Join(dir, filepath.FromSlash(file)))
	if err != nil {
		return fmt.Errorf("checking %s: %w", file, err)
	}
	if _, err := os.Stat(at); err != nil {
		return nil // it is gone
	}
	for _, name := range c.Programs {
		said, err := exec.CommandContext(ctx, name, append(c.Args[:len(c.Args):len(c.Args)], at)...).CombinedOutput()
		if err == nil {
			return nil
		}
		if x, ok := dev.ParseComplaint(string(said)); ok {
			return casemate.Errorf(casemate.Invalid, "the version before serves on", "%s:%d:%d: %s", file, x.Line, x.Column, x.Text)
		}
	}
	return nil // nobody to ask: the node will see
}
