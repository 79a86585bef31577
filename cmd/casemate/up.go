package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"casemate"
	"casemate/front/aws"
	front "casemate/front/http"
	"casemate/internal/walls"
	"casemate/node"
	"casemate/quota"
	"casemate/telemetry"
)

// nodeGC lets garbage grow to four times the live heap, which is some 10 MB: collecting less often is worth that much.
const nodeGC = 300

// upFlags are the words of `casemate up`, before they are checked.
type upFlags struct {
	http, https, admin, cert, key, domain string
	aws                                   string
	region, account, environment          string
	wait, rate, logFormat, logLevel       string
	otlp, metrics                         string
	prices, nodeSDK                       string
	weak, functionLogs                    bool
	grace, idle                           time.Duration
	concurrency                           int
	secretKeys                            []string
	adminOrigins                          []string
	resolve                               []string
	limits                                limitFlags
	tls                                   tlsFlags
	conns                                 connFlags
}

func (a *app) upCommand() *cobra.Command {
	var f upFlags
	c := &cobra.Command{Use: "up", Short: "Run a node on this machine until it is told to stop", Args: cobra.NoArgs,
		Long: `Runs a node in the foreground. Its state is in --dir (default ./.casemate), made when missing.
It listens on loopback alone unless you say otherwise: plain HTTP for curl, and HTTPS with a certificate of a local
development authority (tls/ca.pem in the node's folder), with your own, or with one that it obtains and renews by ACME.
Stop it with Ctrl-C or SIGTERM: running events end within --stop-grace, queued ones stay queued.`,
		Example: "  casemate up\n  casemate up --https :443 --http '' --cert site.pem --key site.key\n  casemate up --https :443 --redirect :80 --acme-domain shop.example.com --acme-agree\n  casemate up --otlp http://127.0.0.1:4318 --metrics 127.0.0.1:9100",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.nodeConfig(&f)
			if err != nil {
				return err
			}
			cfg.AWSDefault = !cmd.Flags().Changed("aws")
			return a.up(cmd.Context(), cfg, func(ad node.Address) error { return a.show(ad, func(w io.Writer) { readyPage(w, &ad) }) })
		}}
	f.add(c.Flags())
	return c
}

func (f *upFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&f.http, "http", "127.0.0.1:8080", "plain HTTP address, loopback only; '' is off")
	fl.StringVar(&f.https, "https", "127.0.0.1:8443", "HTTPS address; '' is off")
	fl.StringVar(&f.admin, "admin", "", "TLS address of the admin API, for --url; off by default (the socket is always there)")
	fl.StringArrayVar(&f.adminOrigins, "admin-origin", nil, "what browsers call the admin API, for its sign-in page and passkeys: https://ops.example.com:8444; may be repeated, for one host; default: --admin's own name, localhost for loopback")
	fl.StringVar(&f.aws, "aws", aws.DefaultAddr, "address of AWS's services for clients outside (AWS_ENDPOINT_URL): plain HTTP on loopback, TLS elsewhere; '' is off")
	fl.StringVar(&f.cert, "cert", "", "certificate file (PEM) for HTTPS; without it a development authority signs one")
	fl.StringVar(&f.key, "key", "", "key file (PEM) of --cert")
	fl.StringVar(&f.domain, "url-domain", front.DefaultDomain, "function URLs are https://<id>.<this domain>")
	fl.StringVar(&f.region, "region", casemate.DefaultPlace.Region, "region in ARNs, and AWS_REGION of functions")
	fl.StringVar(&f.environment, "environment", "", "only environment that apps may be for, and that of those that name none: dev, staging, prod")
	fl.StringVar(&f.account, "account", casemate.DefaultPlace.Account, "account in ARNs: twelve digits")
	fl.StringVar(&f.wait, "audit-wait", "written", "how far a synchronous call's record must be before the answer: written or durable")
	fl.StringVar(&f.rate, "source-rate", "1000/s burst 2000", "requests of one source address")
	f.limits.add(fl)
	f.tls.add(fl)
	f.conns.add(fl)
	fl.IntVar(&f.concurrency, "concurrency", 256, "runs at once on the whole node")
	fl.DurationVar(&f.grace, "stop-grace", 20*time.Second, "time that running functions get to end when the node is told to stop; 0: none")
	fl.DurationVar(&f.idle, "session-idle", 30*time.Minute, "operators' sessions end after so long without a call; 12 hours after sign-in they end anyway")
	within(fl, "concurrency", 1, most)
	within(fl, "stop-grace", 0, longest)
	within(fl, "session-idle", time.Minute, 12*time.Hour)
	fl.StringArrayVar(&f.secretKeys, "secret-key", nil, "where the key that opens the secrets' keys is: file:/path (mode 0600), env:NAME (wiped once read) or fd:N; repeat it for keys that only open what they wrapped before; default: one in the node's folder")
	fl.BoolVar(&f.weak, "allow-weak-sandbox", false, "run functions although walls are missing (casemate doctor lists them); every record says so")
	fl.StringVar(&f.nodeSDK, "node-sdk", "", "folder with the AWS SDK for JavaScript (npm install --prefix DIR @aws-sdk/client-s3 ...): functions of Node find it without bringing it along, as on Lambda")
	fl.StringArrayVar(&f.resolve, "resolve", nil, "NAME:PORT=ADDRESS:PORT: where functions find a granted host, for tests; its address is not checked. May be repeated")
	fl.StringVar(&f.logFormat, "log-format", "text", "text or json")
	fl.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	fl.StringVar(&f.otlp, "otlp", "", "OTLP/HTTP endpoint for traces, metrics and logs: http://127.0.0.1:4318")
	fl.BoolVar(&f.functionLogs, "otlp-function-logs", false, "export what functions write as well")
	fl.StringVar(&f.prices, "prices", "", "price book (YAML); without it the one of casemate prices --default")
	fl.StringVar(&f.metrics, "metrics", "", "loopback address for Prometheus' /metrics; off by default")
}

// nodeConfig checks every flag; none has a silent fallback.
func (a *app) nodeConfig(f *upFlags) (node.Config, error) {
	bad := func(flag, message, hint string) (node.Config, error) {
		return node.Config{}, badFlag(flag, message, hint)
	}
	dir, err := filepath.Abs(a.dir)
	if err != nil {
		return bad("dir", err.Error(), "name a folder")
	}
	cfg := node.Config{Version: shownVersion(), Dir: dir, HTTP: f.http, HTTPS: f.https, Admin: f.admin, AdminOrigins: f.adminOrigins, AWS: f.aws, Cert: f.cert, Key: f.key, Domain: f.domain,
		Place: casemate.Place{Region: f.region, Account: f.account}, Environment: f.environment, AllowWeak: f.weak, NodeSDK: f.nodeSDK, Concurrency: f.concurrency, StopGrace: f.grace, SessionIdle: f.idle}
	if cfg.SecretKeys, err = secretKeys(f.secretKeys); err != nil {
		return node.Config{}, err
	}
	if err := checkOrigins(&cfg); err != nil {
		return node.Config{}, err
	}
	if err := f.check(); err != nil {
		return node.Config{}, err
	}
	switch f.wait {
	case "written":
		cfg.Wait = casemate.Written
	case "durable":
		cfg.Wait = casemate.Durable
	default:
		return bad("audit-wait", "neither written nor durable", "")
	}
	if cfg.SourceRate, err = quota.ParseRate(f.rate); err != nil {
		return bad("source-rate", err.Error(), `"1000/s burst 2000"`)
	}
	if err = f.limits.read(&cfg); err != nil {
		return node.Config{}, err
	}
	if err = f.tls.read(&cfg); err != nil {
		return node.Config{}, err
	}
	if err = f.conns.read(&cfg); err != nil {
		return node.Config{}, err
	}
	if f.prices != "" {
		if cfg.Prices, err = readBook(f.prices); err != nil {
			return node.Config{}, err
		}
	}
	if cfg.Resolve, err = parseResolve(f.resolve); err != nil {
		return node.Config{}, err
	}
	if cfg.Log, err = telemetry.Logger(a.errs, f.logFormat, f.logLevel); err != nil {
		return bad("log-format", err.Error(), "text or json; debug, info, warn or error")
	}
	cfg.Telemetry = telemetry.Config{Endpoint: f.otlp, Metrics: f.metrics, Version: version, FunctionLogs: f.functionLogs, Log: cfg.Log}
	return cfg, nil
}

// check holds the flags that stand alone to their bounds.
func (f *upFlags) check() error {
	if f.http == "" && f.https == "" {
		return badFlag("https", "nothing to listen on", "give --http or --https an address")
	}
	for _, addr := range []string{f.https, f.admin, f.aws, f.tls.redirect} {
		if !walls.Up && addr != "" && !node.Loopback(addr) {
			return badFlag("https", "a build without walls listens on loopback alone", "127.0.0.1:8443")
		}
	}
	if !digits(f.account, 12) {
		return badFlag("account", "not twelve digits", "AWS accounts have twelve; 000000000000 is nobody's")
	}
	return nil
}

func digits(s string, n int) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return len(s) == n
}

// up runs a node until ctx ends or a listener fails, and tells ready where it listens.
func (a *app) up(ctx context.Context, cfg node.Config, ready func(node.Address) error) error {
	slog.SetDefault(cfg.Log)
	if !walls.Up {
		cfg.Log.Error("casemate" + unwalled)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(nodeGC)
	}
	return node.Run(ctx, cfg, ready)
}

func readyPage(w io.Writer, ad *node.Address) {
	fmt.Fprintf(w, "casemate %s is up\n", ad.Version)
	for _, u := range ad.HTTP {
		fmt.Fprintf(w, "  %s\n", u)
	}
	if ad.CA != "" {
		fmt.Fprintf(w, "  trust %s (curl --cacert)\n", ad.CA)
	}
	if ad.AWS != "" {
		fmt.Fprintf(w, "  AWS_ENDPOINT_URL=%s (casemate access create makes the credentials)\n", ad.AWS)
	}
	if ad.AWSTaken != "" {
		fmt.Fprintf(w, "  no AWS_ENDPOINT_URL: another program has %s, and AWS SDKs outside that are pointed there do not reach this node;\n"+
			"    functions reach their services all the same. --aws 127.0.0.1:0 takes a free port, --aws '' none\n", ad.AWSTaken)
	}
	if ad.Admin != "" {
		fmt.Fprintf(w, "  admin API %s (casemate login --url, or --url with --key-file)\n", ad.Admin)
	}
	if ad.Redirect != "" {
		fmt.Fprintf(w, "  %s sends callers to https\n", ad.Redirect)
	}
	if ad.Metrics != "" {
		fmt.Fprintf(w, "  %s\n", ad.Metrics)
	}
	fmt.Fprintf(w, "  admin socket %s\n", ad.Socket)
}
