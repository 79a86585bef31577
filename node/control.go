package node

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/catalog"
	"casemate/deploy"
	"casemate/service/lambda/control"
	"casemate/service/lambda/mapping"
)

// apps is the catalog as Lambda's management API sees it.
type apps struct{ n *node }

// Snapshot implements control.Apps.
func (a apps) Snapshot() *catalog.Snapshot { return a.n.catalog.Snapshot() }

// Edit implements control.Apps. What reaches beyond the app needs casemate:DeployBeyond on it, as in a deploy, but for the roles
// that the caller may pass.
func (a apps) Edit(ctx context.Context, l *casemate.Launch, app string, lent []string, edit func(*catalog.App) error) error {
	d := a.n.deployer.For(app).Under(deploy.Guard{Beyond: func(app string, what []string) error {
		what = slices.DeleteFunc(slices.Clone(what), func(w string) bool { return slices.Contains(lent, w) })
		if len(what) == 0 {
			return nil
		}
		err := a.n.judge(l, "casemate:DeployBeyond", "app", app)
		if err == nil {
			return nil
		}
		e := *casemate.AsError(err)
		e.AWS, e.Message = "AccessDeniedException", "this change reaches beyond app "+app+" ("+strings.Join(what, "; ")+"): "+e.Message
		return &e
	}})
	if err := d.Edit(ctx, app, l.Principal.Name(), edit); err != nil {
		return err
	}
	if made, _ := a.n.catalog.Snapshot().App(app); made != nil {
		a.n.prepareApp(ctx, made)
	}
	return nil
}

// Keep implements control.Apps.
func (a apps) Keep(ctx context.Context, r casemate.Runtime, data []byte) (string, error) {
	return a.n.deployer.Keep(ctx, r, data)
}

// architectures are Lambda's words for the machines that casemate runs on.
var architectures = map[string]string{"amd64": "x86_64", "arm64": "arm64"}

// controlOperations are Lambda's management API.
func (n *node) controlOperations() []casemate.Operation {
	return control.Operations(control.Config{Apps: apps{n}, Place: n.cfg.Place, Clock: time.Now, Judge: n.decide, Architecture: architectures[runtime.GOARCH], Installed: n.installed, Standing: n.besides(),
		Others: n.mappingOperations()})
}

// mappingOperations connect queues with functions.
func (n *node) mappingOperations() []casemate.Operation {
	return mapping.Operations(mapping.Config{Place: n.cfg.Place, Clock: time.Now, May: n.mayPoll,
		Snapshot: func() *catalog.Snapshot { return n.catalog.Snapshot() },
		Edit: func(ctx context.Context, l *casemate.Launch, app string, edit func(*catalog.App) error) error {
			return apps{n}.Edit(ctx, l, app, nil, edit)
		},
		Connect: func(a *catalog.App, m *casemate.Mapping) { deploy.Connect(a, n.cfg.Place, m, "Lambda's API") }, Disconnect: deploy.Disconnect,
		Queue: func(arn string) (time.Duration, error) {
			q, err := n.queues.ByARN(arn)
			if err != nil {
				return 0, err
			}
			return q.Definition().Spec.Visibility, nil
		},
		Status: func(id string) (state, result string, known bool) {
			s, known := n.sources.Load().Status(id)
			return s.State, s.Result, known
		}})
}
