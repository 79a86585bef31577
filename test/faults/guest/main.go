// Command guest is the native function of the fault tests, an ordinary Lambda on aws-lambda-go: it gives its event back,
// and for a path that ends in "hang" it never does.
package main

import (
	"context"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() { lambda.Start(handle) }

func handle(_ context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	if strings.HasSuffix(e.RawPath, "hang") {
		<-make(chan struct{})
	}
	return events.APIGatewayV2HTTPResponse{StatusCode: 200, Body: e.Body}, nil
}
