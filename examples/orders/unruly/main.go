// Command unruly does what functions should not do, so that one can see what becomes of it. The last part of the path
// says how it misbehaves. It is an AWS Lambda function like any other; nothing in it knows of Casemate.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// outside are places that no grant of this function names: a host by name, one by address, and the address where cloud
// machines keep their credentials.
var outside = []string{"example.com:443", "93.184.216.34:443", "169.254.169.254:80"}

// deeds are what it can do.
var deeds = map[string]func(context.Context) (any, error){
	"behave": func(context.Context) (any, error) { return map[string]string{"message": "as good as gold"}, nil },
	"loop":   loop, "memory": memory, "dial": dial, "crash": crash, "fail": fail, "spawn": spawn, "peek": peek,
	"call":   func(ctx context.Context) (any, error) { return get(ctx, "http://partner.example/tea") },
	"secret": func(ctx context.Context) (any, error) { return read(ctx, "shop/partner") },
	"steal":  func(ctx context.Context) (any, error) { return read(ctx, "bank/vault") },
}

func main() { lambda.Start(handle) }

func handle(ctx context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	deed := deeds[e.PathParameters["how"]]
	if deed == nil {
		return events.APIGatewayV2HTTPResponse{StatusCode: 404, Body: `{"message":"it cannot do that"}`}, nil
	}
	result, err := deed(ctx)
	if err != nil {
		return events.APIGatewayV2HTTPResponse{}, err
	}
	body, err := json.Marshal(result)
	return events.APIGatewayV2HTTPResponse{StatusCode: 200, Body: string(body),
		Headers: map[string]string{"content-type": "application/json"}}, err
}

// loop never ends.
func loop(context.Context) (any, error) {
	for n := uint64(1); n != 0; n += 2 {
	}
	return nil, nil
}

// memory takes what there is, and touches it.
func memory(context.Context) (any, error) {
	var all [][]byte
	for {
		block := make([]byte, 4<<20)
		for i := range block {
			block[i] = byte(i)
		}
		if all = append(all, block); len(all) == 0 {
			return nil, nil
		}
	}
}

// attempt is what came of one connection.
type attempt struct {
	Target string `json:"target"`
	Result string `json:"result"`
}

// dial tries to get out.
func dial(ctx context.Context) (any, error) {
	attempts := make([]attempt, 0, len(outside))
	for _, target := range outside {
		dialer := net.Dialer{Timeout: 200 * time.Millisecond}
		conn, err := dialer.DialContext(ctx, "tcp", target)
		result := "connected"
		if err != nil {
			result = reason(err)
		} else {
			conn.Close()
		}
		attempts = append(attempts, attempt{target, result})
	}
	return map[string]any{"attempts": attempts}, nil
}

// reason is the innermost part of an error.
func reason(err error) string {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.Err
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}

// crash ends the whole process with a stack trace that is nobody's business.
func crash(ctx context.Context) (any, error) {
	go panic("a secret of the function: the key is under the mat")
	<-ctx.Done()
	return nil, ctx.Err()
}

// fail reports an error, as a function may.
func fail(context.Context) (any, error) { return nil, errors.New("the warehouse does not answer") }

// spawn starts another program, to see who it is there.
func spawn(ctx context.Context) (any, error) {
	out, err := exec.CommandContext(ctx, "/bin/sh", "-c", "id").CombinedOutput()
	return map[string]string{"output": string(out), "error": fmt.Sprint(err)}, nil
}

// get asks a host, as any program does.
func get(ctx context.Context, from string, header ...string) (any, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return map[string]any{"error": reason(err)}, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return map[string]any{"status": resp.StatusCode, "body": string(body)}, err
}

// read asks for a secret at the address where the AWS Parameters and Secrets Lambda Extension is, and tells how long it is.
func read(ctx context.Context, name string) (any, error) {
	got, err := get(ctx, "http://localhost:2773/secretsmanager/get?secretId="+url.QueryEscape(name),
		"X-Aws-Parameters-Secrets-Token", os.Getenv("AWS_SESSION_TOKEN"))
	answer, _ := got.(map[string]any)
	body, _ := answer["body"].(string)
	var secret struct{ SecretString string }
	if err != nil || answer["status"] != http.StatusOK || json.Unmarshal([]byte(body), &secret) != nil {
		return got, err
	}
	return map[string]any{"name": name, "length": len(secret.SecretString)}, nil
}

// peek looks for what belongs to the host, and for its processes.
func peek(context.Context) (any, error) {
	seen := map[string]string{}
	for _, name := range []string{"/etc/shadow", "/root", "/home", "/var/run/docker.sock", "/sys/class/net"} {
		_, err := os.Open(name)
		seen[name] = "open"
		if err != nil {
			seen[name] = reason(err)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	return map[string]any{"files": seen, "processes": len(processes), "host": host, "uid": os.Getuid()}, err
}
