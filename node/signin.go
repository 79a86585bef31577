package node

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	"casemate"
	"casemate/authn/device"
	"casemate/authn/passkey"
	front "casemate/front/signin"
	"casemate/service/signin"
)

// openPasskeys opens them before the operators, whose factor they are.
func (n *node) openPasskeys(ctx context.Context) (err error) {
	if n.passkeys, err = passkey.Open(ctx, passkey.Config{Store: n.store, Clock: time.Now, Log: n.cfg.Log}); err != nil {
		return err
	}
	n.desk = &signin.Desk{Passkeys: n.passkeys, Devices: device.New(time.Now), Covers: func(l *casemate.Launch, action, kind, name string) error {
		return covers(l, n.judge, action, kind, name)
	}}
	return nil
}

// signinBuiltins are what the sign-in page and casemate login ask for.
func (n *node) signinBuiltins() map[string]builtin {
	n.desk.Operators = n.operators
	all := map[string]builtin{}
	for _, o := range n.desk.Operations() {
		all[o.Name] = builtin{action: o.Action, kind: o.Kind, body: signInLimit, run: o.Run}
	}
	return all
}

// openPages gives the admin API the page to sign in at. Where it is, showPages says once the API listens.
func (n *node) openPages() (err error) {
	n.pages, err = front.New(front.Config{Handler: n.gate.Handle, Clock: time.Now, Log: n.cfg.Log})
	return err
}

// showPages says by which origins browsers reach the page: those of --admin-origin, or what the address of the admin API
// comes to. Browsers make no passkeys for addresses, so that one which is neither loopback nor a name gives none.
func (n *node) showPages(asked string, at net.Addr) error {
	origins := n.cfg.AdminOrigins
	if len(origins) == 0 {
		own := adminOrigin(asked, at)
		if own == "" {
			n.cfg.Log.Warn("there is no page to sign in at with a passkey: browsers need a name", "hint", "casemate up --admin-origin https://ops.example.com:8444")
			return nil
		}
		origins = []string{own}
	}
	if err := n.passkeys.At(origins); err != nil {
		return err
	}
	n.desk.Page.Store(&origins[0])
	return n.pages.At(origins)
}

// adminOrigin is what browsers on this machine, or those that know the node by the name that it was given, call it.
func adminOrigin(asked string, at net.Addr) string {
	host, _, err := net.SplitHostPort(asked)
	if err != nil {
		return ""
	}
	_, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return ""
	}
	if a, err := netip.ParseAddr(host); err == nil && !a.IsLoopback() || host == "" {
		return ""
	} else if err == nil {
		host = "localhost"
	}
	if port == "443" {
		return "https://" + strings.ToLower(host)
	}
	return "https://" + net.JoinHostPort(strings.ToLower(host), port)
}
