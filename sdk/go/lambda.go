//go:build !wasip1

package function

import (
	"context"
	"encoding/json"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

// Run serves events as an AWS Lambda function. Started by hand, outside of any Lambda, it reads one event from standard
// input and answers on standard output.
func Run() {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" {
		os.Exit(command(os.Stdin, os.Stdout, os.Stderr))
	}
	lambda.Start(func(ctx context.Context, event json.RawMessage) (json.RawMessage, error) { return serve(ctx, event) })
}
