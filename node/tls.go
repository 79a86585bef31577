package node

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"time"

	"casemate"
	"casemate/acme"
	shown "casemate/front/certificate"
	front "casemate/front/http"
	"casemate/front/redirect"
)

// openCertificate makes ready what the TLS listeners show: by ACME, the operator's own, or the development authority's.
func (n *node) openCertificate(ctx context.Context) (err error) {
	switch {
	case n.cfg.ACME != nil:
		c := *n.cfg.ACME
		c.Store, c.Vault, c.Clock, c.Log = n.store, n.secrets.Vault(n.cfg.Place.Account), time.Now, n.cfg.Log
		if n.acme, err = acme.Open(ctx, c); err != nil {
			return err
		}
		n.certificate = n.acme.GetCertificate
	case n.cfg.Cert != "":
		files, err := shown.OpenFiles(n.cfg.Cert, n.cfg.Key, time.Now, n.cfg.Log)
		if err != nil {
			return &casemate.Error{Code: casemate.Invalid, Field: "--cert", Message: err.Error(), Hint: "PEM files, key and certificate of one pair", Err: err}
		}
		n.certificate = files.GetCertificate
	case n.cfg.HTTPS != "" || n.cfg.Admin != "" || n.cfg.AWS != "" && !Loopback(n.cfg.AWS):
		authority, err := shown.OpenAuthority(n.path("tls"), time.Now, "*."+n.cfg.Domain)
		if err != nil {
			return err
		}
		n.certificate = authority.GetCertificate
	}
	return nil
}

// tls is what the public front speaks.
func (n *node) tls() front.TLS {
	t := front.TLS{Certificate: n.certificate, Minimum: n.cfg.MinTLS}
	if n.acme != nil {
		t.Challenge = n.acme.Challenge
	}
	return t
}

// openRedirect opens the listener that sends callers of plain HTTP to https.
func (n *node) openRedirect(ctx context.Context) (err error) {
	if n.cfg.Redirect == "" {
		return nil
	}
	c := redirect.Config{Addr: n.cfg.Redirect, Serves: n.serves, Refused: n.refused, Log: n.cfg.Log}
	if c.Port = strconv.Itoa(n.cfg.RedirectPort); n.cfg.RedirectPort == 0 {
		for _, at := range n.http.Addrs() { // HTTPS comes last
			if _, c.Port, err = net.SplitHostPort(at.String()); err != nil {
				return err
			}
		}
	}
	if n.acme != nil {
		c.Answer = n.acme.KeyAuthorization
	}
	if n.redirect, err = redirect.New(c); err != nil {
		return err
	}
	if err := n.redirect.Start(ctx); err != nil {
		return err
	}
	n.onClose(bounded(n.redirect.Shutdown))
	return nil
}

// serves reports whether a host is one that HTTPS has a certificate for, or is about to get one.
func (n *node) serves(host string) bool {
	if n.acme != nil {
		return n.acme.Serves(host)
	}
	c, err := n.certificate(&tls.ClientHelloInfo{ServerName: host})
	return err == nil && c != nil && c.Leaf != nil && c.Leaf.VerifyHostname(host) == nil
}

// startACME begins to obtain and renew: the listeners that answer for it are open.
func (n *node) startACME(ctx context.Context) error {
	if n.acme != nil {
		n.acme.Start(ctx)
		n.onClose(n.acme.Close)
	}
	return nil
}

func (n *node) redirectFailed() <-chan error {
	if n.redirect == nil {
		return nil
	}
	return n.redirect.Failed()
}

// Certificates is what the node shows on TLS, and what it speaks.
type Certificates struct {
	Source    string        `json:"source"` // acme, file, development
	Authority string        `json:"authority,omitempty"`
	Minimum   string        `json:"minimum"`
	All       []acme.Status `json:"certificates"`
}

func (n *node) certificates() Certificates {
	out := Certificates{Source: "development", Minimum: tls.VersionName(n.cfg.MinTLS), All: []acme.Status{}}
	if n.acme != nil {
		out.Source, out.Authority, out.All = "acme", n.acme.Directory(), n.acme.Status()
		return out
	}
	if n.cfg.Cert != "" {
		out.Source = "file"
	}
	if n.certificate == nil {
		return out
	}
	c, err := n.certificate(&tls.ClientHelloInfo{})
	if err != nil || c == nil || c.Leaf == nil {
		return out
	}
	names := append([]string{}, c.Leaf.DNSNames...)
	for _, ip := range c.Leaf.IPAddresses {
		names = append(names, ip.String())
	}
	out.All = append(out.All, acme.Status{Name: strings.Join(names, " "), Issuer: c.Leaf.Issuer.CommonName,
		Serial: c.Leaf.SerialNumber.Text(16), Since: c.Leaf.NotBefore, Until: c.Leaf.NotAfter})
	return out
}

func (n *node) tlsPosture(now time.Time) (fs []Finding) {
	all := n.certificates()
	if all.Source == "development" && n.cfg.HTTPS != "" && !Loopback(n.cfg.HTTPS) {
		fs = append(fs, Finding{"medium", "weak", "HTTPS on " + n.cfg.HTTPS, "its certificate is signed by the local development authority", "casemate up --acme-domain NAME --acme-agree, or --cert FILE --key FILE"})
	}
	for _, c := range all.All {
		what, fix := "certificate of "+c.Name, "put a new pair in the place of --cert and --key: it is served within seconds"
		if all.Source == "acme" {
			fix = "mend what the error says, then casemate tls renew " + c.Name
		}
		switch {
		case all.Source == "development":
		case c.Until.IsZero() && c.Error == "":
			fs = append(fs, Finding{"medium", "weak", what, "it is being obtained; callers of this name are refused until then", "casemate tls status"})
		case c.Until.IsZero():
			fs = append(fs, Finding{"high", "weak", what, "there is none, callers of this name are refused: " + c.Error, fix})
		case !now.Before(c.Until):
			fs = append(fs, Finding{"high", "expired", what, "it ended on " + c.Until.Local().Format(time.DateTime) + " " + c.Error, fix})
		case c.Failures > 0 && now.After(c.Until.Add(-c.Until.Sub(c.Since)/6)):
			fs = append(fs, Finding{"high", "expired", what, "it ends on " + c.Until.Local().Format(time.DateTime) + ", and could not be renewed: " + c.Error, fix})
		case c.Failures > 0:
			fs = append(fs, Finding{"medium", "weak", what, "it could not be renewed, and holds until " + c.Until.Local().Format(time.DateTime) + ": " + c.Error, fix})
		case all.Source == "file" && now.Add(soon).After(c.Until) && c.Until.Sub(c.Since) > 2*soon:
			fs = append(fs, Finding{"medium", "expired", what, "it ends on " + c.Until.Local().Format(time.DateTime), fix})
		}
	}
	return fs
}

// RenewQuestion names a certificate to obtain now.
type RenewQuestion struct {
	Name       string `json:"name,omitempty"`        // "" is every one
	NewAccount bool   `json:"new_account,omitempty"` // leaves the authority's account behind
}

func (n *node) tlsBuiltins() map[string]builtin {
	return map[string]builtin{
		"tls.status": question("casemate:ListCertificates", "certificate", func(context.Context, *casemate.Launch, struct{}) (any, error) {
			return n.certificates(), nil
		}),
		"tls.renew": question("casemate:RenewCertificates", "certificate", func(ctx context.Context, _ *casemate.Launch, q RenewQuestion) (any, error) {
			if n.acme == nil {
				return nil, casemate.Errorf(casemate.Invalid, "casemate up --acme-domain obtains them; files are read again by themselves", "this node has no certificates by ACME")
			}
			if err := n.acme.Renew(ctx, q.Name, q.NewAccount); err != nil {
				return nil, err
			}
			return n.certificates(), nil
		}),
	}
}
