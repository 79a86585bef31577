package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"casemate"
	"casemate/authn/certificate"
	"casemate/deploy"
	"casemate/sam"
	"casemate/sandbox/wasm"
)

// deployBuiltins are the acts that change what runs.
func (n *node) deployBuiltins() (map[string]builtin, error) {
	d, err := deploy.New(deploy.Config{Catalog: n.catalog, Blobs: n.store.Blobs(), Place: n.cfg.Place, Clock: time.Now, Certificate: certificate.Check, Budget: n.purse.Load().Fits,
		Inspect: func(module []byte) error { _, err := wasm.Inspect(module); return err }, Installed: n.installed, Program: programDigest, Environment: n.cfg.Environment, Issuers: n.identity.CheckIssuers, Reserve: n.reserve, Address: n.outputAddress, Vault: n.secrets.Vault(n.cfg.Place.Account), Runs: n.runs, Layer: n.layers.Find, Queues: n.declarable, Found: func(app, name string) bool { return n.queues.Found(app, name) }})
	if err != nil {
		return nil, err
	}
	n.deployer = d
	// under is the deployer that acts for l's caller: on the app the decision was about, or, where that was any, on those
	// that the policy allows one by one. What reaches beyond the app needs casemate:DeployBeyond on it.
	under := func(l *casemate.Launch, action string) *deploy.Deployer {
		return d.For(l.Event.Resource).Under(deploy.Guard{Keeper: &declaring{n.declared(), l},
			App:   func(app string) error { return n.judge(l, action, "app", app) },
			Layer: func(arn string) error { return n.mayRead(l, arn) },
			Beyond: func(app string, what []string) error {
				err := n.judge(l, "casemate:DeployBeyond", "app", app)
				if err == nil {
					return nil
				}
				e := *casemate.AsError(err)
				e.Message = "this deploy reaches beyond app " + app + " (" + strings.Join(what, "; ") + "): " + e.Message
				return &e
			}})
	}
	bundle := func(action string, do func(ctx context.Context, l *casemate.Launch) (any, error)) builtin {
		return builtin{action: action, kind: "app", body: bundleLimit, named: true, run: do}
	}
	all := n.policyBuiltins(d)
	maps.Copy(all, n.guardrailBuiltins())
	maps.Copy(all, map[string]builtin{
		"deploy.plan": bundle("casemate:PlanDeploy", func(ctx context.Context, l *casemate.Launch) (any, error) {
			return under(l, "casemate:PlanDeploy").Plan(ctx, l.Payload)
		}),
		"deploy.apply": bundle("casemate:Deploy", func(ctx context.Context, l *casemate.Launch) (any, error) {
			out, err := under(l, "casemate:Deploy").Apply(ctx, l.Payload, l.Principal.Name())
			if err == nil {
				n.prepare(ctx)
				return n.made(out.Plan.App, out, nil)
			}
			return out, err
		}),
		"deploy.rollback": named(question("casemate:Rollback", "app", func(ctx context.Context, l *casemate.Launch, q deploy.RollbackRequest) (any, error) {
			out, err := under(l, "casemate:Rollback").Rollback(ctx, q, l.Principal.Name())
			return n.made(q.App, out, err)
		})),
		"deploy.delete": named(question("casemate:DeleteApp", "app", func(ctx context.Context, l *casemate.Launch, q deploy.DeleteRequest) (any, error) {
			return under(l, "casemate:DeleteApp").Delete(ctx, q)
		})),
		"deploy.recall": named(question("casemate:PlanDeploy", "app", func(ctx context.Context, l *casemate.Launch, q deploy.HistoryRequest) (any, error) {
			return under(l, "casemate:PlanDeploy").Recall(ctx, q)
		})),
		"deploy.history": named(question("casemate:ReadHistory", "app", func(ctx context.Context, l *casemate.Launch, q deploy.HistoryRequest) (any, error) {
			return under(l, "casemate:ReadHistory").History(ctx, q)
		})),
	})
	return all, nil
}

// mayRead asks whether l's caller may read a published layer, as Lambda's API asks of who adds one to a function.
func (n *node) mayRead(l *casemate.Launch, arn string) error {
	d := n.decide(l, "lambda:GetLayerVersion", arn)
	if d.Verdict == casemate.Allowed {
		return nil
	}
	return &casemate.Error{Code: casemate.Forbidden, Message: l.Principal.Name() + " may not lambda:GetLayerVersion on " + arn, Rule: d.Statement, Hint: d.Hint}
}

// outputAddress is where people and AWS clients find this node, for the outputs of templates.
func (n *node) outputAddress() sam.Address {
	ad := n.address()
	out := sam.Address{Domain: n.cfg.Domain, AWS: ad.AWS}
	for _, u := range ad.HTTP {
		if out.HTTP == "" || strings.HasPrefix(u, "https://") && !strings.HasPrefix(out.HTTP, "https://") {
			out.HTTP = u
		}
	}
	return out
}

// runs says which version of a runtime is used, when it is another than the one that is named.
func (n *node) runs(r casemate.Runtime) string {
	if f := r.Family(); f != "nodejs" && f != "python" {
		return ""
	}
	_, note, err := n.runtimes.Choose(r)
	if err != nil {
		return "" // said elsewhere
	}
	return note
}

// installed says whether a runtime can run here.
func (n *node) installed(r casemate.Runtime) bool {
	switch r.Family() {
	case "wasm", "provided":
		return true
	case "":
		return false
	}
	_, _, err := n.runtimes.Choose(r)
	return err == nil
}

// programDigest reads the digest of a program of this machine that functions are to execute.
func programDigest(path string) (string, error) {
	bad := func(hint, format string, args ...any) (string, error) {
		return "", casemate.Errorf(casemate.Invalid, hint, format, args...)
	}
	const elsewhere = "install it on the node's machine, or take it into the code and name it below /var/task"
	if !slices.ContainsFunc([]string{"/usr/bin/", "/usr/lib/", "/usr/libexec/", "/bin/"}, func(dir string) bool { return strings.HasPrefix(path, dir) }) {
		return bad(elsewhere, "a sandbox sees programs of the system only, below /usr/bin, /usr/lib, /usr/libexec and /bin")
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would wait for its writer
	if err != nil {
		return bad(elsewhere, "it cannot be read: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return bad(elsewhere, "it cannot be read: %w", err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o001 == 0:
		return bad("name a program that everybody may execute", "it is no program that everybody may execute")
	case info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0:
		return bad("name another program", "it runs as another user (set-id)")
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return bad("", "it cannot be read: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
