package node

import (
	"context"
	"sync"
	"time"

	"casemate"
	"casemate/deploy"
	"casemate/internal/pause"
	"casemate/queue"
)

// undeclared are the apps whose queues could not all be made when they came into force, and why.
type undeclared struct {
	mu   sync.Mutex
	apps map[string]error
}

func (u *undeclared) set(app string, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.apps == nil {
		u.apps = map[string]error{}
	}
	if delete(u.apps, app); err != nil {
		u.apps[app] = err
	}
}

func (u *undeclared) of(app string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.apps[app]
}

func (u *undeclared) names() (all []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for app := range u.apps {
		all = append(all, app)
	}
	return all
}

func (n *node) specsOf(queues map[string]*casemate.Queue) map[string]queue.Spec {
	specs := map[string]queue.Spec{}
	for name, q := range queues {
		specs[name] = specOf(n.cfg.Place, name, q)
	}
	return specs
}

// declarable is asked before an app comes into force.
func (n *node) declarable(app string, queues map[string]*casemate.Queue) error {
	return n.queues.Declarable(app, n.specsOf(queues))
}

// declare makes the queues of an app that is in force. What fails is told to who deployed it, and tried again until it is done.
func (n *node) declare(app string, queues map[string]*casemate.Queue) {
	err := n.queues.Declare(context.Background(), app, n.specsOf(queues))
	n.undeclared.set(app, err)
	if err != nil {
		n.cfg.Log.Error("making the queues of an app", "app", app, "err", err)
	}
}

// made turns a deploy whose queues are not there into an error: the app is in force, and not what it says.
func (n *node) made(app string, out *deploy.Outcome, err error) (*deploy.Outcome, error) {
	if err != nil {
		return out, err
	}
	if missing := n.undeclared.of(app); missing != nil {
		e := casemate.AsError(missing)
		return nil, &casemate.Error{Code: casemate.Unavailable, Message: "app " + app + " is in force, and not all of its queues could be made: " + e.Message,
			Hint: "the node tries again every 15 seconds: casemate queue list shows what is there", Retry: 15, Err: missing}
	}
	return out, nil
}

// keepDeclaring tries again what could not be made, until the node closes.
func (n *node) keepDeclaring(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	work.Go(func() {
		for pause.For(ctx, 15*time.Second) {
			for _, app := range n.undeclared.names() {
				var queues map[string]*casemate.Queue
				if a, _ := n.catalog.Snapshot().App(app); a != nil {
					queues = a.Queues
				}
				n.declare(app, queues)
			}
		}
	})
	n.onClose(func() error { cancel(); work.Wait(); return nil })
}
