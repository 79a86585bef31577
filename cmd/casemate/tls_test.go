package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate"
	"casemate/acme"
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
	good := func() (tlsFlags, nodeConfig) {
		return tlsFlags{domains: []string{"Shop.example.com"}, ca: acme.DefaultDirectory, agree: true, least: "1.2", eab: eab, redirect: ":80"}, nodeConfig{HTTPS: ":443"}
	}
	f, cfg := good()
	if err := f.read(&cfg); err != nil || cfg.ACME.Names[0] != "shop.example.com" || !cfg.ACME.HTTP || !cfg.ACME.ALPN || cfg.ACME.EAB == nil {
		t.Fatalf("%v", err)
	}
	for what, c := range map[string]struct {
		change func(*tlsFlags, *nodeConfig)
		field  string
	}{
		"no agreement":        {func(f *tlsFlags, _ *nodeConfig) { f.agree = false }, "--acme-agree"},
		"files as well":       {func(_ *tlsFlags, c *nodeConfig) { c.Cert, c.Key = "a", "b" }, "--acme-domain"},
		"a key alone":         {func(_ *tlsFlags, c *nodeConfig) { c.Key = "b" }, "--cert"},
		"wildcard":            {func(f *tlsFlags, _ *nodeConfig) { f.domains = []string{"*.example.com"} }, "--acme-domain"},
		"no domain":           {func(f *tlsFlags, _ *nodeConfig) { f.domains = nil }, "--acme-domain"},
		"no https":            {func(_ *tlsFlags, c *nodeConfig) { c.HTTPS = "" }, "--redirect"},
		"no listener":         {func(f *tlsFlags, c *nodeConfig) { c.HTTPS, f.redirect = "", "" }, "--acme-domain"},
		"no address":          {func(f *tlsFlags, _ *nodeConfig) { f.redirect = "80" }, "--redirect"},
		"no port":             {func(f *tlsFlags, _ *nodeConfig) { f.redirectPort = 65536 }, "--redirect-port"},
		"TLS 1.1":             {func(f *tlsFlags, _ *nodeConfig) { f.least = "1.1" }, "--tls-min"},
		"no TLS":              {func(f *tlsFlags, _ *nodeConfig) { f.least = "" }, "--tls-min"},
		"roots of nothing":    {func(f *tlsFlags, _ *nodeConfig) { f.caRoot = eab }, "--acme-ca-root"},
		"a secret for anyone": {func(f *tlsFlags, _ *nodeConfig) { f.eab = open }, "--acme-eab-file"},
		"a folder as secret":  {func(f *tlsFlags, _ *nodeConfig) { f.eab = dir }, "--acme-eab-file"},
		"plain authority":     {func(f *tlsFlags, _ *nodeConfig) { f.ca = "http://10.0.0.1/dir" }, "--acme-ca"},
	} {
		f, cfg := good()
		c.change(&f, &cfg)
		err := f.read(&cfg)
		if e := casemate.AsError(err); err == nil || e.Code != casemate.Invalid || e.Field != c.field || e.Hint == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
}
