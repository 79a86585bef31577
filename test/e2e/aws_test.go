package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/rogpeppe/go-internal/testscript"
)

// signed makes a request with an AWS signature of the SDK's own signer: signed METHOD URL CREDENTIALS [-service NAME]
// [-region NAME] [-body TEXT] [-presign SECONDS] [-ago DURATION] [-tamper method|path|query|body|token] [-times N]. It shows
// every answer.
func signed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: signed METHOD URL CREDENTIALS [FLAGS]")
	}
	var s signing
	f := flag.NewFlagSet("signed", flag.ContinueOnError)
	f.StringVar(&s.service, "service", "execute-api", "")
	f.StringVar(&s.region, "region", "us-east-1", "")
	f.StringVar(&s.body, "body", "", "")
	f.IntVar(&s.presign, "presign", 0, "")
	f.DurationVar(&s.ago, "ago", 0, "")
	f.StringVar(&s.tamper, "tamper", "", "")
	times := f.Int("times", 1, "")
	ts.Check(f.Parse(args[3:]))
	s.method, s.target, s.creds = args[0], args[1], profile(ts, args[2])
	r, err := s.request()
	ts.Check(err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if _, port, err := net.SplitHostPort(addr); err == nil && strings.Contains(addr, ".localhost:") {
			addr = net.JoinHostPort("127.0.0.1", port)
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}}
	for range *times {
		if s.sent != "" {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(s.sent)), int64(len(s.sent))
		}
		a, err := client.Do(r.Clone(of(ts).ctx))
		ts.Check(err)
		text, err := io.ReadAll(a.Body)
		ts.Check(err)
		ts.Check(a.Body.Close())
		put(ts, fmt.Sprintf("%s %s\n%s\n", a.Proto, a.Status, text))
	}
}

// signing is one request to be made.
type signing struct {
	method, target, service, region, body, tamper string
	presign                                       int
	ago                                           time.Duration
	creds                                         aws.Credentials
	sent                                          string // the body that goes out
}

func (s *signing) request() (*http.Request, error) {
	r, err := http.NewRequest(s.method, s.target, nil)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(s.body))
	hash, at := hex.EncodeToString(sum[:]), time.Now().Add(-s.ago)
	if s.presign > 0 {
		q := r.URL.Query()
		q.Set("X-Amz-Expires", fmt.Sprint(s.presign))
		r.URL.RawQuery = q.Encode()
		target, _, err := v4.NewSigner().PresignHTTP(context.Background(), s.creds, r, hash, s.service, s.region, at)
		if err != nil {
			return nil, err
		}
		if r, err = http.NewRequest(s.method, target, nil); err != nil {
			return nil, err
		}
	} else if err := v4.NewSigner().SignHTTP(context.Background(), s.creds, r, hash, s.service, s.region, at); err != nil {
		return nil, err
	}
	s.sent = s.body
	switch s.tamper {
	case "method":
		r.Method = "DELETE"
	case "path":
		r.URL.Path += "x"
	case "query":
		r.URL.RawQuery += "&admin=1"
	case "body":
		s.sent += " "
	case "token":
		r.Header.Set("X-Amz-Security-Token", "cs1.AAAA")
	}
	return r, nil
}

// profile reads a file of credentials as casemate access create writes it.
func profile(ts *testscript.TestScript, file string) (c aws.Credentials) {
	lines := bufio.NewScanner(strings.NewReader(ts.ReadFile(file)))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " = ")
		switch name {
		case "aws_access_key_id":
			c.AccessKeyID = value
		case "aws_secret_access_key":
			c.SecretAccessKey = value
		}
	}
	return c
}

// awsEnv points SDKs that a script starts at the node, and at nothing of this machine.
func awsEnv(ts *testscript.TestScript, at string) {
	ts.Setenv("AWS_ENDPOINT_URL", at)
	ts.Setenv("AWS_REGION", "us-east-1")
	ts.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	ts.Setenv("AWS_CONFIG_FILE", os.DevNull)
}
