// A function as it was written for the client library of 2022; it is built with that version and runs unmodified.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func handle(ctx context.Context, e struct{ Do string }) (any, error) {
	lc, ok := lambdacontext.FromContext(ctx)
	if !ok {
		return nil, errors.New("no context")
	}
	deadline, ok := ctx.Deadline()
	switch e.Do {
	case "fail":
		return nil, errors.New("no")
	case "panic":
		panic("boom")
	case "context":
		return []any{len(lc.AwsRequestID), lc.InvokedFunctionArn, lambdacontext.FunctionName, lambdacontext.MemoryLimitInMB, ok && !deadline.IsZero(),
			os.Getenv("_X_AMZN_TRACE_ID") != ""}, nil
	}
	fmt.Println("did", e.Do)
	return e.Do, nil
}

func main() { lambda.Start(handle) }
