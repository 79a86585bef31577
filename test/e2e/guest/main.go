// Command guest is the function of the end-to-end tests, an ordinary AWS Lambda function: the last part of the path says
// what it does with its event.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func main() { lambda.Start(answer) }

// answer tells the questions that a Lambda authorizer gets from all other events.
func answer(ctx context.Context, raw json.RawMessage) (any, error) {
	var q struct{ Type string }
	if err := json.Unmarshal(raw, &q); err == nil && (q.Type == "TOKEN" || q.Type == "REQUEST") {
		return authorize(raw)
	}
	var e events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	return handle(ctx, e)
}

// authorize knows who somebody is by the word they say: its first part is the answer, the second the name.
func authorize(raw json.RawMessage) (any, error) {
	var q struct {
		AuthorizationToken string
		MethodArn          string
		IdentitySource     any
	}
	if err := json.Unmarshal(raw, &q); err != nil {
		return nil, err
	}
	word := q.AuthorizationToken
	if list, ok := q.IdentitySource.([]any); ok {
		word, _ = list[0].(string)
	}
	verdict, name, _ := strings.Cut(word, "-")
	fmt.Println("the authorizer was asked")
	policy := func(effect, resource string) any {
		return map[string]any{"principalId": name, "context": map[string]any{"tier": "gold", "age": 7, "vip": true}, "policyDocument": map[string]any{
			"Version": "2012-10-17", "Statement": []any{map[string]any{"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}}}}
	}
	switch verdict {
	case "allow":
		return policy("Allow", q.MethodArn), nil
	case "wide":
		return policy("Allow", "*"), nil
	case "deny":
		return policy("Deny", "*"), nil
	case "yes", "no":
		return map[string]any{"isAuthorized": verdict == "yes", "context": map[string]any{"tier": "silver"}}, nil
	case "unauthorized":
		return nil, errors.New("Unauthorized")
	case "crash":
		os.Exit(2)
	case "junk":
		return map[string]any{"policy": "allow everything"}, nil
	}
	return nil, errors.New("this word is not known")
}

func handle(ctx context.Context, e events.APIGatewayV2HTTPRequest) (any, error) {
	if _, what, ok := strings.Cut(e.RawPath, "/stream/"); ok {
		return streamed(ctx, what), nil
	}
	switch e.RawPath[strings.LastIndexByte(e.RawPath, '/')+1:] {
	case "spin":
		for n := uint64(1); n != 0; n += 2 {
		}
	case "crash":
		fmt.Fprintln(os.Stderr, "panic: the password is in line 42 of secret.go")
		os.Exit(2)
	case "fail":
		return nil, errors.New("the password is in line 42 of secret.go")
	case "page": // what a careless web framework says
		return events.APIGatewayV2HTTPResponse{StatusCode: 200, Body: "<p>hello " + strings.Join(e.Cookies, "|"), Headers: map[string]string{"content-type": "text/html", "x-powered-by": "Express",
			"access-control-allow-origin": e.Headers["origin"], "access-control-allow-credentials": "true"},
			Cookies: []string{"session=s3cret", "theme=dark", "__Host-id=1; Domain=example.com", "=x", "cross=1; SameSite=None"}}, nil
	case "context": // what the caller of an Invoke says beside its event
		lc, _ := lambdacontext.FromContext(ctx)
		return map[string]any{"custom": lc.ClientContext.Custom, "tenant": lc.TenantID, "arn": lc.InvokedFunctionArn}, nil
	case "meet": // another event of the same process
		return meet(ctx)
	case "talk": // more than a tail of a log holds
		fmt.Println(strings.Repeat("x", 5000) + "end")
		return nil, nil
	case "junk":
		return json.RawMessage(`{"statusCode":9999,"headers":{"a\nb":"c"}}`), nil
	}
	fmt.Println("the guest was called")
	var said map[string]any // what a Lambda authorizer said of the caller
	if a := e.RequestContext.Authorizer; a != nil {
		said = a.Lambda
	}
	return map[string]any{"path": e.RawPath, "query": e.RawQueryString, "body": e.Body, "base64": e.IsBase64Encoded, "headers": e.Headers,
		"greeting": os.Getenv("GREETING"), "authorizer": said}, nil
}
