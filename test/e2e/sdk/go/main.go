// Command go is a function that makes the calls of its event with the AWS SDK for Go, as any function would: nothing in it
// knows of Casemate. An event is {"calls":[{"service","operation","input","payload"}]}; payload is that of a Lambda
// invocation, and with "lend" set takes this sandbox's own credentials along, for the called function to try. The answer is a list of {"output"} or {"code","message","status","attempts"}.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	smithyhttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	functions "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

type call struct {
	Service   string          `json:"service"`
	Operation string          `json:"operation"`
	Input     json.RawMessage `json:"input,omitempty"`
	Payload   json.RawMessage `json:"payload,omitempty"`
	Lend      bool            `json:"lend,omitempty"`
}

// event is what the function is called with.
type event struct {
	Calls       []call           `json:"calls"`
	Credentials *aws.Credentials `json:"credentials,omitempty"` // somebody else's
}

type result struct {
	Output   any    `json:"output,omitempty"`
	Payload  any    `json:"payload,omitempty"`
	Type     string `json:"type,omitempty"` // of the error, in Go
	Code     string `json:"code,omitempty"`
	Message  string `json:"message,omitempty"`
	Status   int    `json:"status,omitempty"`
	Attempts int    `json:"attempts,omitempty"`
}

// main is a function in a sandbox, and a client outside when it is given the file of an event, or a package to make one of.
func main() {
	if len(os.Args) < 2 {
		lambda.Start(handle)
		return
	}
	work := func() error { return outside(os.Args[1]) }
	if len(os.Args) == 2 && os.Args[1] == "queues" {
		work = func() error { return queues(context.Background()) }
	}
	if len(os.Args) == 4 && os.Args[1] == "manage" {
		work = func() error { return manage(context.Background(), os.Args[2], os.Args[3]) }
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func outside(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var e event
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	results, err := handle(context.Background(), e)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}

// counter counts the requests that the SDK really sends.
type counter struct {
	n    int
	next aws.HTTPClient
}

func (c *counter) Do(r *http.Request) (*http.Response, error) {
	c.n++
	return c.next.Do(r)
}

func client(service string, cfg aws.Config) (any, error) {
	switch service {
	case "cloudwatch":
		return cloudwatch.NewFromConfig(cfg), nil
	case "lambda":
		return functions.NewFromConfig(cfg), nil
	case "s3":
		return s3.NewFromConfig(cfg), nil
	case "secretsmanager":
		return secretsmanager.NewFromConfig(cfg), nil
	case "sqs":
		return sqs.NewFromConfig(cfg), nil
	case "ssm":
		return ssm.NewFromConfig(cfg), nil
	case "sts":
		return sts.NewFromConfig(cfg), nil
	}
	return nil, fmt.Errorf("this function has no client for %q", service)
}

func handle(ctx context.Context, e event) ([]result, error) {
	counted := &counter{next: smithyhttp.NewBuildableClient()}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(counted))
	if err != nil {
		return nil, err
	}
	if e.Credentials != nil {
		stolen := *e.Credentials
		cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return stolen, nil })
	}
	if role := os.Getenv("ASSUME_ROLE"); role != "" { // by the token of a CI job where there is one, by what the SDK found otherwise
		var provider aws.CredentialsProvider = stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), role)
		if file := os.Getenv("TOKEN_FILE"); file != "" {
			provider = stscreds.NewWebIdentityRoleProvider(sts.NewFromConfig(cfg), role, stscreds.IdentityTokenFile(file))
		}
		cfg.Credentials = aws.NewCredentialsCache(provider)
	}
	var results []result
	for _, c := range e.Calls {
		counted.n = 0
		r, err := c.make(ctx, cfg)
		if err != nil {
			return nil, err
		}
		if r.Code != "" {
			r.Attempts = counted.n
		}
		results = append(results, r)
	}
	return results, nil
}

// make makes the call by its names, so that the event alone says what is asked.
func (c *call) make(ctx context.Context, cfg aws.Config) (result, error) {
	of, err := client(c.Service, cfg)
	if err != nil {
		return result{}, err
	}
	method := reflect.ValueOf(of).MethodByName(c.Operation)
	if !method.IsValid() {
		return result{}, fmt.Errorf("%s has no %s", c.Service, c.Operation)
	}
	in := reflect.New(method.Type().In(1).Elem())
	if len(c.Input) > 0 {
		if err := json.Unmarshal(c.Input, in.Interface()); err != nil {
			return result{}, err
		}
	}
	if c.Lend {
		if c.Payload, err = lend(ctx, cfg, c.Payload); err != nil {
			return result{}, err
		}
	}
	if len(c.Payload) > 0 {
		in.Elem().FieldByName("Payload").SetBytes(c.Payload)
	}
	out := method.Call([]reflect.Value{reflect.ValueOf(ctx), in})
	if err, ok := out[1].Interface().(error); ok {
		return failure(err)
	}
	if s, ok := out[0].Interface().(*functions.InvokeWithResponseStreamOutput); ok {
		all, err := parts(s)
		return result{Output: all}, err
	}
	r := result{Output: out[0].Interface()}
	if p := out[0].Elem().FieldByName("Payload"); p.IsValid() && p.Len() > 0 {
		return r, json.Unmarshal(p.Bytes(), &r.Payload)
	}
	return r, nil
}

// lend adds the credentials of cfg to an event.
func lend(ctx context.Context, cfg aws.Config, payload []byte) ([]byte, error) {
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, err
	}
	mine, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	e.Credentials = &mine
	return json.Marshal(e)
}

func failure(err error) (result, error) {
	var api smithy.APIError
	var response *smithyhttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &response) {
		return result{}, err
	}
	return result{Type: fmt.Sprintf("%T", api), Code: api.ErrorCode(), Message: api.ErrorMessage(), Status: response.HTTPStatusCode()}, nil
}
