package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/deploy"
	"casemate/deploy/bundle"
	"casemate/deploy/manifest"
	"casemate/sam"
)

// project is what a verb packs: a folder with a manifest, a template, or a bundle that was packed before.
type project struct {
	options    bundle.Options
	noBuild    bool
	stack      string
	parameters []string
	open       string
	until      string
	config     string // environment of samconfig.toml
}

func (p *project) flags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&p.noBuild, "no-build", false, "take the code as it lies there")
	f.BoolVar(&p.options.LeaveOut, "leave-out-missing", false, "leave out functions whose runtime is not installed on the node, instead of refusing")
	f.StringVar(&p.options.Environment, "environment", "", "environment that the app is for: dev, staging, prod (default: what the manifest says)")
	f.StringVar(&p.stack, "stack-name", "", "of a template: name of the stack, which is that of the app (default: samconfig.toml, else that in STACK.template.json, else the folder's)")
	f.StringArrayVar(&p.parameters, "parameter-overrides", nil, "of a template: its parameters, Key=Value, more of them separated by spaces or by giving the flag again")
	f.StringVar(&p.open, "allow-open", "", "of a template: why anybody may call the routes and URLs that it leaves open; without a reason they are refused")
	f.StringVar(&p.until, "open-until", "", "of --allow-open: day on which they close, at most a year ahead (default: the first of the month after next)")
	f.StringVar(&p.config, "config-env", "default", "of a template: environment of samconfig.toml")
}

// ofTemplate says whether something was given that only a template has.
func (p *project) ofTemplate() bool {
	return p.stack != "" || len(p.parameters) > 0 || p.open != "" || p.until != "" || p.config != "default"
}

// templates are the names that SAM and CloudFormation tools look for.
var templates = []string{"template.yaml", "template.yml", "template.json"}

// find says what stands at a path: a folder with a manifest (file ""), a template in a folder, or a bundle.
func find(at string) (dir, file string, bundle bool, err error) {
	info, err := os.Stat(at)
	if err != nil {
		return "", "", false, &casemate.Error{Code: casemate.NotFound, Field: at, Message: "there is nothing to deploy", Hint: "name a folder, a template or a bundle", Err: err}
	}
	if info.IsDir() {
		if _, err := os.Stat(filepath.Join(at, manifest.File)); err == nil {
			return at, "", false, nil
		}
		for _, name := range templates {
			if _, err := os.Stat(filepath.Join(at, name)); err == nil {
				return at, name, false, nil
			}
		}
		return "", "", false, &casemate.Error{Code: casemate.NotFound, Field: filepath.Join(at, manifest.File), Message: "cannot be read, and there is no template.yaml either", Hint: "casemate init writes one"}
	}
	switch ext := filepath.Ext(at); {
	case filepath.Base(at) == manifest.File:
		return filepath.Dir(at), "", false, nil
	case slices.Contains([]string{".yaml", ".yml", ".json", ".template"}, ext):
		return filepath.Dir(at), filepath.Base(at), false, nil
	case ext == ".zip":
		return at, "", true, nil
	}
	return "", "", false, casemate.Errorf(casemate.Invalid, "name a folder, a template (.yaml, .json) or a bundle of casemate package (.zip)", "%s is nothing to deploy", at)
}

// packed builds and packs a project, and hands the bundle on with the name of its app.
func (a *app) packed(ctx context.Context, p *project, args []string, do func(app string, bundle *os.File) error) error {
	at := "."
	if len(args) > 0 {
		at = args[0]
	}
	dir, file, ready, err := find(at)
	if err == nil {
		err = regular(dir, file, ready)
	}
	if err != nil {
		return err
	}
	to, err := os.CreateTemp("", "casemate-bundle-")
	if err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	defer os.Remove(to.Name())
	defer to.Close()
	var name string
	switch {
	case ready && (p.options != bundle.Options{} || p.ofTemplate()):
		return casemate.Errorf(casemate.Invalid, "casemate package takes what a bundle may say; --expect and --note are for a folder or template", "%s is deployed as it was packed: no flag changes what it says", at)
	case ready:
		name, err = a.ready(dir, to)
	case file == "":
		name, err = a.packManifest(ctx, p, dir, to)
	default:
		name, err = a.packTemplate(ctx, p, dir, file, to)
	}
	if err != nil {
		return asInvalid(err)
	}
	return do(name, to)
}

// regular refuses what to deploy where it is no file: to read a pipe waits for whoever writes it, and for no Ctrl-C.
func regular(dir, file string, bundle bool) error {
	at := filepath.Join(dir, or(file, manifest.File))
	if bundle {
		at = dir
	}
	if info, err := os.Stat(at); err == nil && !info.Mode().IsRegular() {
		return casemate.Errorf(casemate.Invalid, "name a folder, a template (.yaml, .json) or a bundle of casemate package (.zip)", "%s is not a regular file", at)
	}
	return nil
}

func settingNow() manifest.Setting {
	return manifest.Setting{Place: casemate.DefaultPlace, Now: time.Now()}
}

// ready takes a bundle that was packed before.
func (a *app) ready(at string, w io.Writer) (string, error) {
	data, err := os.ReadFile(at)
	if err != nil {
		return "", &casemate.Error{Code: casemate.NotFound, Field: at, Message: "the bundle cannot be read", Hint: "casemate package writes one", Err: err}
	}
	name, err := bundle.App(data, settingNow())
	if err != nil {
		return "", err
	}
	_, err = io.Copy(w, bytes.NewReader(data))
	return name, err
}

func (a *app) packManifest(ctx context.Context, p *project, dir string, w io.Writer) (string, error) {
	if p.ofTemplate() {
		return "", casemate.Errorf(casemate.Invalid, "name the template", "%s has no stack, parameters and open routes of its own to give", manifest.File)
	}
	if !p.noBuild {
		text, err := os.ReadFile(filepath.Join(dir, manifest.File))
		if err != nil {
			return "", &casemate.Error{Code: casemate.NotFound, Field: filepath.Join(dir, manifest.File), Message: "cannot be read", Hint: "casemate init writes one", Err: err}
		}
		m, err := manifest.Parse(manifest.File, text, settingNow())
		if err != nil {
			return "", asInvalid(err)
		}
		if err := a.build(ctx, dir, m); err != nil {
			return "", err
		}
	}
	m, err := bundle.Pack(dir, settingNow(), p.options, w)
	if err != nil {
		return "", err
	}
	return m.App, nil
}

func (a *app) packTemplate(ctx context.Context, p *project, dir, file string, w io.Writer) (string, error) {
	q, err := p.template(dir, file)
	if err != nil {
		return "", err
	}
	p.options.Template = q
	a.recall(ctx, q)
	if !p.noBuild {
		m, _, err := bundle.ReadTemplate(dir, file, settingNow(), q)
		if err != nil {
			return "", err
		}
		if err := a.build(ctx, dir, m); err != nil {
			return "", err
		}
	}
	m, err := bundle.PackTemplate(dir, file, settingNow(), p.options, w)
	if err != nil {
		return "", err
	}
	return m.App, nil
}

// template is what the flags, and samconfig.toml beside the template, say about it. Flags come first.
func (p *project) template(dir, file string) (*bundle.Template, error) {
	q := &bundle.Template{File: file, Parameters: map[string]string{}}
	text, err := os.ReadFile(filepath.Join(dir, sam.ConfigFile))
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("reading %s: %w", sam.ConfigFile, err)
	}
	c, err := sam.ParseConfig(text, p.config)
	if err != nil {
		return nil, err
	}
	overrides := append(c.Parameters, p.parameters...)
	for _, list := range overrides {
		if err := sam.Overrides(q.Parameters, list); err != nil {
			return nil, err
		}
	}
	if q.Stack = p.stack; q.Stack == "" {
		q.Stack = c.Stack
	}
	if q.Stack == "" {
		q.Stack = bundle.StackName(dir, file)
	}
	q.Open, err = p.exception()
	return q, err
}

// exception is that of --allow-open. Its day is the same for a month, so that a second deploy changes nothing.
func (p *project) exception() (*casemate.Exception, error) {
	if p.open == "" && p.until == "" {
		return nil, nil
	}
	if len(strings.TrimSpace(p.open)) < 3 {
		return nil, &casemate.Error{Code: casemate.Invalid, Field: "--allow-open", Message: "an open route needs a reason, of three letters at least", Hint: "--allow-open \"a public demonstration\" --open-until 2027-01-31"}
	}
	y, m, _ := time.Now().UTC().Date()
	x := &casemate.Exception{Reason: p.open, Expires: time.Date(y, m+2, 1, 0, 0, 0, 0, time.UTC)}
	if p.until != "" {
		day, err := time.Parse(time.DateOnly, p.until)
		if err != nil {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: "--open-until", Message: fmt.Sprintf("%q is no day", p.until), Hint: "write it as 2027-01-31", Err: err}
		}
		x.Expires = day
	}
	return x, nil
}

func (a *app) diffCommand() *cobra.Command {
	var p project
	c := &cobra.Command{Use: "diff [FOLDER | TEMPLATE | BUNDLE]", Short: "Show what a deploy would change, and change nothing", Args: cobra.MaximumNArgs(1),
		Long: `Packs what casemate deploy would, and asks the node what would change: permissions first. Of a template it also says what
becomes of each resource. Nothing is built: give --build to do so.`,
		Example: "  casemate diff template.yaml --stack-name shop",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.packed(cmd.Context(), &p, args, func(app string, bundle *os.File) error { return a.plan(cmd.Context(), app, bundle) })
		}}
	p.flags(c)
	c.Flags().Lookup("no-build").Hidden = true
	p.noBuild = true
	build := c.Flags().Bool("build", false, "run the build commands first")
	c.PreRun = func(*cobra.Command, []string) { p.noBuild = !*build }
	return c
}

func (a *app) packageCommand() *cobra.Command {
	var p project
	var out string
	c := &cobra.Command{Use: "package [FOLDER | TEMPLATE] --output FILE", Short: "Build and write the bundle that deploy sends, for another day or another machine", Args: cobra.MaximumNArgs(1),
		Long: `Writes everything that casemate deploy sends into one zip. The same files make the same bytes. casemate deploy FILE sends it;
the node reads it with the checks of every other deploy.`,
		Example: "  casemate package template.yaml --output shop.zip\n  casemate deploy shop.zip",
		RunE: func(cmd *cobra.Command, args []string) error {
			if filepath.Ext(out) != ".zip" {
				return &casemate.Error{Code: casemate.Invalid, Field: "--output", Message: "name the file to write, with .zip", Hint: "--output shop.zip"}
			}
			return a.packed(cmd.Context(), &p, args, func(app string, bundle *os.File) error { return a.keepBundle(app, bundle, out) })
		}}
	p.flags(c)
	c.Flags().StringVarP(&out, "output", "o", "", "file to write")
	return c
}

// keepBundle writes a bundle to a file: all of it, or nothing.
func (a *app) keepBundle(app string, bundle *os.File, out string) error {
	if _, err := bundle.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("writing the bundle: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(out), ".bundle-")
	if err != nil {
		return &casemate.Error{Code: casemate.Invalid, Field: "--output", Message: "the file cannot be written", Hint: "name a folder that is there", Err: err}
	}
	defer os.Remove(f.Name())
	n, err := io.Copy(f, bundle)
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Rename(f.Name(), out)
	}
	if err != nil {
		return fmt.Errorf("writing the bundle: %w", err)
	}
	type packed struct {
		App  string `json:"app"`
		File string `json:"file"`
		Size int64  `json:"size"`
	}
	return a.show(packed{app, out, n}, func(w io.Writer) { fmt.Fprintf(w, "%s holds app %s, %s\n", out, app, size(n)) })
}

func (a *app) deleteCommand() *cobra.Command {
	var q deploy.DeleteRequest
	c := &cobra.Command{Use: "delete APP", Short: "Take an app away: its functions, routes, roles and history", Args: cobra.ExactArgs(1),
		Long: `Says what goes, permissions first, and takes it away at once. There is nothing to roll back to: deploy the app again to have it
back. Its secrets and parameters, and the record of what it did, stay.`,
		Example: "  casemate delete shop --plan\n  casemate delete shop",
		RunE: func(cmd *cobra.Command, args []string) error {
			q.App = args[0]
			var out deploy.Outcome
			if err := a.callOn(cmd.Context(), q.App, "deploy.delete", q, &out); err != nil {
				return a.near(cmd.Context(), err, appNoun, q.App)
			}
			return a.show(out, func(w io.Writer) {
				fmt.Fprint(w, out.Plan.String())
				if out.Changed {
					fmt.Fprintf(w, "app %s is gone\n", q.App)
				}
			})
		}}
	c.Flags().BoolVar(&q.DryRun, "plan", false, "only show what would go")
	c.Flags().IntVar(&q.Expect, "expect", 0, "refuse unless this generation is in force")
	within(c.Flags(), "expect", 1, unbounded)
	return c
}
