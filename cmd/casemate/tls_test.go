package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate"
	"casemate/acme"
	"casemate/node"
)

// TestFlagsOfTLS: every combination that would leave a listener without TLS, or ask an authority nobody agreed with, is
// refused before anything opens.
func TestFlagsOfTLS(t *testing.T) {
	dir := t.TempDir()
	eab := filepath.Join(dir, "eab.json")
	if err := os.WriteFile(eab, []byte(`{"key_id":"k","mac_key":"`+strings.Repeat("A", 43)+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open.json")
	if err := os.WriteFile(open, []byte(`{}`), 0o644); err != nil {
		t.Fatal(err)
	}
	good := func() (tlsFlags, node.Config) {
		return tlsFlags{domains: []string{"Shop.example.com"}, ca: acme.DefaultDirectory, agree: true, least: "1.2", eab: eab, redirect: ":80"}, node.Config{HTTPS: ":443"}
	}
	f, cfg := good()
	if err := f.read(&cfg); err != nil || cfg.ACME.Names[0] != "shop.example.com" || !cfg.ACME.HTTP || !cfg.ACME.ALPN || cfg.ACME.EAB == nil {
		t.Fatalf("%v", err)
	}
	for what, c := range map[string]struct {
		change func(*tlsFlags, *node.Config)
		field  string
	}{
		"no agreement":        {func(f *tlsFlags, _ *node.Config) { f.agree = false }, "--acme-agree"},
		"files as well":       {func(_ *tlsFlags, c *node.Config) { c.Cert, c.Key = "a", "b" }, "--acme-domain"},
		"a key alone":         {func(_ *tlsFlags, c *node.Config) { c.Key = "b" }, "--cert"},
		"wildcard":            {func(f *tlsFlags, _ *node.Config) { f.domains = []string{"*.example.com"} }, "--acme-domain"},
		"no domain":           {func(f *tlsFlags, _ *node.Config) { f.domains = nil }, "--acme-domain"},
		"no https":            {func(_ *tlsFlags, c *node.Config) { c.HTTPS = "" }, "--redirect"},
		"no listener":         {func(f *tlsFlags, c *node.Config) { c.HTTPS, f.redirect = "", "" }, "--acme-domain"},
		"no address":          {func(f *tlsFlags, _ *node.Config) { f.redirect = "80" }, "--redirect"},
		"TLS 1.1":             {func(f *tlsFlags, _ *node.Config) { f.least = "1.1" }, "--tls-min"},
		"no TLS":              {func(f *tlsFlags, _ *node.Config) { f.least = "" }, "--tls-min"},
		"roots of nothing":    {func(f *tlsFlags, _ *node.Config) { f.caRoot = eab }, "--acme-ca-root"},
		"a secret for anyone": {func(f *tlsFlags, _ *node.Config) { f.eab = open }, "--acme-eab-file"},
		"a folder as secret":  {func(f *tlsFlags, _ *node.Config) { f.eab = dir }, "--acme-eab-file"},
		"plain authority":     {func(f *tlsFlags, _ *node.Config) { f.ca = "http://10.0.0.1/dir" }, "--acme-ca"},
	} {
		f, cfg := good()
		c.change(&f, &cfg)
		err := f.read(&cfg)
		if e := casemate.AsError(err); err == nil || e.Code != casemate.Invalid || e.Field != c.field || e.Hint == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
}
