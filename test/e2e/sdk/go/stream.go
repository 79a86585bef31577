package main

import (
	functions "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// parts are the events of a streamed answer, in their order: a chunk as its text, the end as it is.
func parts(out *functions.InvokeWithResponseStreamOutput) ([]any, error) {
	stream := out.GetStream()
	defer stream.Close()
	var all []any
	for e := range stream.Events() {
		switch e := e.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			all = append(all, string(e.Value.Payload))
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			all = append(all, e.Value)
		}
	}
	return all, stream.Err()
}
