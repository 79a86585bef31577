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
)

func main() { lambda.Start(handle) }

func handle(_ context.Context, e events.APIGatewayV2HTTPRequest) (any, error) {
	switch e.RawPath[strings.LastIndexByte(e.RawPath, '/')+1:] {
	case "spin":
		for n := uint64(1); n != 0; n += 2 {
		}
	case "crash":
		fmt.Fprintln(os.Stderr, "panic: the password is in line 42 of secret.go")
		os.Exit(2)
	case "fail":
		return nil, errors.New("the password is in line 42 of secret.go")
	case "junk":
		return json.RawMessage(`{"statusCode":9999,"headers":{"a\nb":"c"}}`), nil
	}
	fmt.Println("the guest was called")
	return map[string]any{"path": e.RawPath, "query": e.RawQueryString, "body": e.Body, "base64": e.IsBase64Encoded, "headers": e.Headers,
		"greeting": os.Getenv("GREETING")}, nil
}
