package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"casemate"
	"casemate/audit"
	"casemate/authn"
	"casemate/front/admin"
	"casemate/journal"
	"casemate/node"
)

// sessionKeyName is the name of the keys that casemate dev makes; those that an ended session left are revoked.
const sessionKeyName = "casemate-dev"

// sessionKey opens the routes of one app for one session.
type sessionKey struct {
	app, id, file string
}

// renew makes a key for app, unless it is there, and revokes every other one of casemate dev.
func (k *sessionKey) renew(ctx context.Context, a *app, app string) error {
	if k.app == app {
		return nil
	}
	if err := k.revoke(ctx, a); err != nil {
		return err
	}
	k.file = filepath.Join(a.dir, "session.key")
	if err := os.Remove(k.file); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("making the session's key: %w", err)
	}
	file, err := keyFile(k.file)
	if err != nil {
		return err
	}
	var made node.MadeKey
	q := node.KeyQuestion{Name: sessionKeyName, Role: "operator", App: app, Grants: []string{"call *"}, TTL: "12h"}
	if err := a.callOn(ctx, q.Role, "keys.create", q, &made); err != nil {
		file.abandon()
		return err
	}
	k.app, k.id = app, made.Key.ID
	return file.write(made.Secret)
}

func (k *sessionKey) revoke(ctx context.Context, a *app) error {
	var keys []authn.Key
	if err := a.call(ctx, "keys.list", nil, &keys); err != nil {
		return err
	}
	for i := range keys {
		if keys[i].Name == sessionKeyName && keys[i].Live(time.Now()) {
			if err := a.callOn(ctx, keys[i].Role, "keys.revoke", node.IDQuestion{ID: keys[i].ID}, nil); err != nil {
				return err
			}
		}
	}
	k.app, k.id = "", ""
	return nil
}

// end takes the key away, in the node and on disk.
func (k *sessionKey) end(a *app) error {
	if k.file == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := k.revoke(ctx, a)
	if gone := os.Remove(k.file); gone != nil && !os.IsNotExist(gone) {
		err = errors.Join(err, gone)
	}
	return err
}

// call is how one route or function is called.
type call struct {
	Name    string `json:"name"`
	Command string `json:"command"`
	Takes   string `json:"takes,omitempty"`
	Note    string `json:"note,omitempty"`
}

// calls prints how everything is called, when that is not as it was last said.
func (l *loop) calls(ctx context.Context, app string) error {
	if err := l.key.renew(ctx, l.a, app); err != nil {
		return err
	}
	var s node.State
	if err := l.a.call(ctx, "state", nil, &s); err != nil {
		return err
	}
	key := `"$(cat ` + shell(l.key.file) + `)"`
	if l.showKey {
		text, err := os.ReadFile(l.key.file)
		if err != nil {
			return fmt.Errorf("reading the session's key: %w", err)
		}
		key = strings.TrimSpace(string(text))
	}
	m, err := l.manifest()
	if err != nil {
		return err
	}
	routes, functions := []call{}, []call{}
	hosts := map[string]string{}
	for i := range s.Functions {
		if f := &s.Functions[i]; f.App == app {
			hosts[f.Name] = f.URL
			functions = append(functions, call{Name: f.Name, Command: "casemate --dir " + shell(l.a.dir) + " invoke " + f.Name + " --data " + l.event(f.Name, m)})
		}
	}
	for i := range s.Routes {
		if r := &s.Routes[i]; r.App == app {
			line, note := l.curl(r, key, hosts[r.Function], m)
			routes = append(routes, call{Name: r.ID, Command: line, Takes: takes(&r.Auth), Note: note})
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "call app %s:", app)
	for _, c := range append(slices.Clone(routes), functions...) {
		b.WriteString("\n  " + printable(c.Command))
		switch {
		case c.Note != "":
			b.WriteString("   # " + printable(c.Note))
		case c.Takes != "" && c.Takes != "key":
			b.WriteString("   # takes " + printable(c.Takes))
		}
	}
	if b.String() != l.said {
		l.said = b.String()
		l.feed.Say("calls", map[string]any{"app": app, "routes": routes, "functions": functions, "key_file": l.key.file}, l.said)
	}
	return nil
}

// tail follows logs and records until ctx ends; wait for what it returns.
func (l *loop) tail(ctx context.Context) (*sync.WaitGroup, error) {
	var last []audit.Entry
	if err := l.a.call(ctx, "audit.list", audit.Filter{Newest: true, Limit: 1}, &last); err != nil {
		return nil, err
	}
	var after audit.Filter
	if len(last) > 0 {
		after.After = last[0].Seq
	}
	follow := func(builtin string, filter any, do func(line []byte) error) {
		if err := l.a.withClient(func(c *admin.Client) error { return c.Stream(ctx, builtin, filter, do) }); err != nil && ctx.Err() == nil {
			l.feed.Fail(err)
		}
	}
	var tails sync.WaitGroup
	tails.Go(func() {
		follow("logs.read", journal.Filter{Follow: true, Since: time.Now()}, func(line []byte) error {
			var x casemate.LogLine
			if err := json.Unmarshal(line, &x); err != nil {
				return fmt.Errorf("reading a log line: %w", err)
			}
			l.feed.Log(&x)
			return nil
		})
	})
	tails.Go(func() {
		follow("audit.follow", after, func(line []byte) error {
			var x audit.Entry
			if err := json.Unmarshal(line, &x); err != nil {
				return fmt.Errorf("reading a record: %w", err)
			}
			l.feed.Record(&x.Record)
			return nil
		})
	})
	return &tails, nil
}
