package main

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// met is the place where two events of one process meet.
var met struct {
	mu    sync.Mutex
	ids   []string
	other chan struct{} // closed when the second is there
}

// meet answers once another event is in flight in the same process, with the ids of both.
func meet(ctx context.Context) (any, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	fmt.Printf(`{"requestId":%q,"message":"%s is here"}`+"\n", lc.AwsRequestID, lc.AwsRequestID)
	met.mu.Lock()
	if met.other == nil {
		met.other = make(chan struct{})
	}
	other := met.other
	if met.ids = append(met.ids, lc.AwsRequestID); len(met.ids) == 2 {
		close(other)
	}
	met.mu.Unlock()
	select {
	case <-other:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	met.mu.Lock()
	defer met.mu.Unlock()
	return map[string]any{"mine": lc.AwsRequestID, "met": met.ids, "most": os.Getenv("AWS_LAMBDA_MAX_CONCURRENCY")}, nil
}
