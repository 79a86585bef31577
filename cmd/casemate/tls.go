package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"casemate"
	"casemate/acme"
	"casemate/node"
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
	within(fl, "redirect-port", 1, 65535)
}

// read checks the flags; none has a silent fallback.
func (f *tlsFlags) read(cfg *node.Config) (err error) {
	switch f.least {
	case "1.2":
		cfg.MinTLS = tls.VersionTLS12
	case "1.3":
		cfg.MinTLS = tls.VersionTLS13
	default:
		return badFlag("tls-min", "neither 1.2 nor 1.3", "older versions are broken (RFC 8996)")
	}
	if (cfg.Cert == "") != (cfg.Key == "") {
		return badFlag("cert", "a certificate needs its key, and a key its certificate", "--cert FILE --key FILE")
	}
	cfg.Redirect = f.redirect
	if f.redirect != "" {
		if cfg.HTTPS == "" {
			return badFlag("redirect", "there is no HTTPS to send anybody to", "give --https an address")
		}
		if _, _, err := net.SplitHostPort(f.redirect); err != nil {
			return badFlag("redirect", f.redirect+" is no address", ":80")
		}
	}
	cfg.RedirectPort = f.redirectPort
	if len(f.domains) == 0 {
		if f.email != "" || f.caRoot != "" || f.eab != "" || f.agree || f.ca != acme.DefaultDirectory {
			return badFlag("acme-domain", "ACME without a name to ask for", "--acme-domain shop.example.com")
		}
		return nil
	}
	if cfg.Cert != "" {
		return badFlag("acme-domain", "a certificate from files and one by ACME", "leave --cert and --key away, or --acme-domain")
	}
	cfg.ACME, err = f.acme(cfg)
	return err
}

func (f *tlsFlags) acme(cfg *node.Config) (*acme.Config, error) {
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

func (a *app) tlsCommand() *cobra.Command {
	c := &cobra.Command{Use: "tls", Short: "Show the certificates that the node serves, and have them renewed",
		Long: `Certificates come from files (--cert, --key), by ACME (--acme-domain), or, on this machine alone, from a development
authority. Those by ACME are renewed by themselves when two thirds of their life are over, or when the authority says so; while that
fails the old one is served on, and casemate posture says why.`}
	var q node.RenewQuestion
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
	var all node.Certificates
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
