package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"casemate"
	"casemate/acme"
	shown "casemate/front/certificate"
	front "casemate/front/http"
	"casemate/front/redirect"
)

// tlsFlags are the words of `casemate up` about certificates.
type tlsFlags struct {
	domains                []string
	email, ca, caRoot, eab string
	agree                  bool
	least, redirect        string
	redirectPort           int
}

func (f *tlsFlags) add(fl *pflag.FlagSet) {
	fl.StringArrayVar(&f.domains, "acme-domain", nil, "name that a certificate is obtained for, and kept renewed, by ACME; may be repeated. No other name is ever asked for")
	fl.StringVar(&f.email, "acme-email", "", "where the authority may write to")
	fl.StringVar(&f.ca, "acme-ca", acme.DefaultDirectory, "directory URL of the authority: https, or http on loopback")
	fl.StringVar(&f.caRoot, "acme-ca-root", "", "file (PEM) with whom the authority's own TLS certificate comes from; default: whom this machine trusts")
	fl.StringVar(&f.eab, "acme-eab-file", "", `file (mode 0600) with the external account binding that some authorities want: {"key_id": ..., "mac_key": ...}`)
	fl.BoolVar(&f.agree, "acme-agree", false, "agree to the authority's terms of service")
	fl.StringVar(&f.least, "tls-min", "1.2", "oldest TLS that is spoken: 1.2 or 1.3. The newest that both sides know is taken")
	fl.StringVar(&f.redirect, "redirect", "", "address of a plain listener that sends callers to https, and answers authorities (HTTP-01): :80; it serves nothing else")
	fl.IntVar(&f.redirectPort, "redirect-port", 0, "port of https as callers see it, for --redirect; default: that of --https")
}

// read checks the flags; none has a silent fallback.
func (f *tlsFlags) read(cfg *nodeConfig) (err error) {
	bad := func(flag, message, hint string) error {
		return &casemate.Error{Code: casemate.Invalid, Field: "--" + flag, Message: message, Hint: hint}
	}
	switch f.least {
	case "1.2":
		cfg.MinTLS = tls.VersionTLS12
	case "1.3":
		cfg.MinTLS = tls.VersionTLS13
	default:
		return bad("tls-min", "neither 1.2 nor 1.3", "older versions are broken (RFC 8996)")
	}
	if (cfg.Cert == "") != (cfg.Key == "") {
		return bad("cert", "a certificate needs its key, and a key its certificate", "--cert FILE --key FILE")
	}
	cfg.Redirect = f.redirect
	if f.redirect != "" {
		if cfg.HTTPS == "" {
			return bad("redirect", "there is no HTTPS to send anybody to", "give --https an address")
		}
		if _, _, err := net.SplitHostPort(f.redirect); err != nil {
			return bad("redirect", f.redirect+" is no address", ":80")
		}
	}
	if f.redirectPort < 0 || f.redirectPort > 65535 {
		return bad("redirect-port", "no port", "443")
	}
	cfg.RedirectPort = f.redirectPort
	if len(f.domains) == 0 {
		if f.email != "" || f.caRoot != "" || f.eab != "" || f.agree || f.ca != acme.DefaultDirectory {
			return bad("acme-domain", "ACME without a name to ask for", "--acme-domain shop.example.com")
		}
		return nil
	}
	if cfg.Cert != "" {
		return bad("acme-domain", "a certificate from files and one by ACME", "leave --cert and --key away, or --acme-domain")
	}
	cfg.ACME, err = f.acme(cfg)
	return err
}

func (f *tlsFlags) acme(cfg *nodeConfig) (*acme.Config, error) {
	c := &acme.Config{Directory: f.ca, Email: f.email, Agreed: f.agree, ALPN: cfg.HTTPS != "", HTTP: cfg.Redirect != ""}
	for _, domain := range f.domains {
		name, err := acme.CheckName(domain)
		if err != nil {
			e := casemate.AsError(err)
			return nil, &casemate.Error{Code: e.Code, Field: "--acme-domain", Message: e.Message, Hint: e.Hint}
		}
		c.Names = append(c.Names, name)
	}
	if f.caRoot != "" {
		text, err := os.ReadFile(f.caRoot)
		c.Roots = x509.NewCertPool()
		if err != nil || !c.Roots.AppendCertsFromPEM(text) {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: "--acme-ca-root", Message: "no certificate can be read from " + f.caRoot, Hint: "certificates in PEM", Err: err}
		}
	}
	if f.eab != "" {
		text, err := privateFile(f.eab)
		if err != nil {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: "--acme-eab-file", Message: err.Error(), Hint: "a file that nobody else may read: chmod 600 " + f.eab, Err: err}
		}
		defer clear(text)
		if c.EAB, err = acme.ParseEAB(text); err != nil {
			return nil, err
		}
	}
	return c, c.Check()
}

// privateFile reads a small file that only its owner may read.
func privateFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others may read %s, or it is no file", path)
	}
	return io.ReadAll(io.LimitReader(f, 4<<10))
}

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
	case n.cfg.HTTPS != "" || n.cfg.Admin != "" || n.cfg.AWS != "" && !loopbackAddr(n.cfg.AWS):
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

// certificates is what the node shows on TLS, and what it speaks.
type certificates struct {
	Source    string        `json:"source"` // acme, file, development
	Authority string        `json:"authority,omitempty"`
	Minimum   string        `json:"minimum"`
	All       []acme.Status `json:"certificates"`
}

func (n *node) certificates() certificates {
	out := certificates{Source: "development", Minimum: tls.VersionName(n.cfg.MinTLS), All: []acme.Status{}}
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
	out.All = append(out.All, acme.Status{Name: strings.Join(names, " "), Issuer: c.Leaf.Issuer.CommonName, Since: c.Leaf.NotBefore, Until: c.Leaf.NotAfter})
	return out
}

func (n *node) tlsPosture(now time.Time) (fs []finding) {
	all := n.certificates()
	if all.Source == "development" && n.cfg.HTTPS != "" && !loopbackAddr(n.cfg.HTTPS) {
		fs = append(fs, finding{"medium", "weak", "HTTPS on " + n.cfg.HTTPS, "its certificate is signed by the local development authority", "casemate up --acme-domain NAME --acme-agree, or --cert FILE --key FILE"})
	}
	for _, c := range all.All {
		what, fix := "certificate of "+c.Name, "put a new pair in the place of --cert and --key: it is served within seconds"
		if all.Source == "acme" {
			fix = "mend what the error says, then casemate tls renew " + c.Name
		}
		switch {
		case all.Source == "development":
		case c.Until.IsZero() && c.Error == "":
			fs = append(fs, finding{"medium", "weak", what, "it is being obtained; callers of this name are refused until then", "casemate tls status"})
		case c.Until.IsZero():
			fs = append(fs, finding{"high", "weak", what, "there is none, callers of this name are refused: " + c.Error, fix})
		case !now.Before(c.Until):
			fs = append(fs, finding{"high", "expired", what, "it ended on " + when(c.Until) + " " + c.Error, fix})
		case c.Failures > 0 && now.After(c.Until.Add(-c.Until.Sub(c.Since)/6)):
			fs = append(fs, finding{"high", "expired", what, "it ends on " + when(c.Until) + ", and could not be renewed: " + c.Error, fix})
		case c.Failures > 0:
			fs = append(fs, finding{"medium", "weak", what, "it could not be renewed, and holds until " + when(c.Until) + ": " + c.Error, fix})
		case all.Source == "file" && now.Add(soon).After(c.Until) && c.Until.Sub(c.Since) > 2*soon:
			fs = append(fs, finding{"medium", "expired", what, "it ends on " + when(c.Until), fix})
		}
	}
	return fs
}

// renewQuestion names a certificate to obtain now.
type renewQuestion struct {
	Name       string `json:"name,omitempty"`        // "" is every one
	NewAccount bool   `json:"new_account,omitempty"` // leaves the authority's account behind
}

func (n *node) tlsBuiltins() map[string]builtin {
	return map[string]builtin{
		"tls.status": question("casemate:ListCertificates", "certificate", func(context.Context, *casemate.Launch, struct{}) (any, error) {
			return n.certificates(), nil
		}),
		"tls.renew": question("casemate:RenewCertificates", "certificate", func(ctx context.Context, _ *casemate.Launch, q renewQuestion) (any, error) {
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

func (a *app) tlsCommand() *cobra.Command {
	c := &cobra.Command{Use: "tls", Short: "Show the certificates that the node serves, and have them renewed",
		Long: `Certificates come from files (--cert, --key), by ACME (--acme-domain), or, on this machine alone, from a development
authority. Those by ACME are renewed by themselves when two thirds of their life are over, or when the authority says so; while that
fails the old one is served on, and casemate posture says why.`}
	var q renewQuestion
	renew := &cobra.Command{Use: "renew [NAME]", Short: "Obtain certificates by ACME now", Args: cobra.MaximumNArgs(1),
		Long: `Asks the authority now, for one name or for all: after the cause of a failure was mended, or after a key may have been seen.
The old certificate is served until there is a new one. Authorities count: asking for much shuts you out for days.`,
		Example: "  casemate tls renew shop.example.com\n  casemate tls renew --new-account   # when the authority ended the account",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				q.Name = args[0]
			}
			return a.showCertificates(cmd, "tls.renew", q)
		}}
	renew.Flags().BoolVar(&q.NewAccount, "new-account", false, "make another account with the authority first")
	c.AddCommand(&cobra.Command{Use: "status", Short: "List certificates: whose, until when, renewed when, and what failed", Args: cobra.NoArgs,
		Example: "  casemate tls status\n  casemate tls status --json | jq -r '.certificates[] | select(.error) | .name'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.showCertificates(cmd, "tls.status", nil)
		}}, renew)
	return c
}

func (a *app) showCertificates(cmd *cobra.Command, operation string, q any) error {
	var all certificates
	if err := a.call(cmd.Context(), operation, q, &all); err != nil {
		return err
	}
	return a.show(all, func(w io.Writer) {
		fmt.Fprintf(w, "certificates: %s %s\noldest TLS: %s\n", all.Source, all.Authority, all.Minimum)
		t := newTable("NAME", "ISSUER", "UNTIL", "RENEWS", "TROUBLE")
		for _, c := range all.All {
			trouble, until, renew := c.Error, "none yet", ""
			if c.Error != "" {
				trouble += fmt.Sprintf(" (%d times, again %s)", c.Failures, when(c.Next))
			}
			if !c.Until.IsZero() {
				until = when(c.Until)
			}
			if !c.Renew.IsZero() {
				renew = when(c.Renew)
			}
			t.add(c.Name, c.Issuer, until, renew, trouble)
		}
		t.print(w)
	})
}
