package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// queues takes messages through their life; the SDK checks the sums of what it sends and gets.
func queues(ctx context.Context) error {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion("us-east-1"))
	if err != nil {
		return err
	}
	c := sqs.NewFromConfig(cfg)
	made, err := c.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("go"), Attributes: map[string]string{"VisibilityTimeout": "60"}})
	if err != nil {
		return err
	}
	url := made.QueueUrl
	sent, err := c.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: []types.SendMessageBatchRequestEntry{
		{Id: aws.String("a"), MessageBody: aws.String("é"), MessageAttributes: map[string]types.MessageAttributeValue{"b": {DataType: aws.String("Binary"), BinaryValue: []byte{0, 255}}}},
		{Id: aws.String("b"), MessageBody: aws.String("\x01")}}})
	if err != nil {
		return err
	}
	if len(sent.Successful) != 1 || len(sent.Failed) != 1 || *sent.Failed[0].Code != "InvalidMessageContents" {
		return fmt.Errorf("sent %+v", sent)
	}
	got, err := c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 20, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}})
	if err != nil {
		return err
	}
	if len(got.Messages) != 1 || *got.Messages[0].Body != "é" || got.Messages[0].Attributes["ApproximateReceiveCount"] != "1" {
		return fmt.Errorf("received %+v", got)
	}
	if err := refusals(ctx, c, url); err != nil {
		return err
	}
	if _, err := c.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: got.Messages[0].ReceiptHandle}); err != nil {
		return err
	}
	pages, names := sqs.NewListQueuesPaginator(c, &sqs.ListQueuesInput{QueueNamePrefix: aws.String("go"), MaxResults: aws.Int32(1)}), ""
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		names += strings.Join(page.QueueUrls, " ")
	}
	if names != *url {
		return fmt.Errorf("listed %s", names)
	}
	if _, err := c.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: url}); err != nil {
		return err
	}
	fmt.Println("all held")
	return nil
}

// refusals come as the SDK's own types.
func refusals(ctx context.Context, c *sqs.Client, url *string) error {
	var absent *types.QueueDoesNotExist
	if _, err := c.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("nosuch")}); !errors.As(err, &absent) {
		return fmt.Errorf("a queue that is not there: %w", err)
	}
	var taken *types.QueueNameExists
	if _, err := c.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("go"), Attributes: map[string]string{"VisibilityTimeout": "61"}}); !errors.As(err, &taken) {
		return fmt.Errorf("a queue of other attributes: %w", err)
	}
	var handle *types.ReceiptHandleIsInvalid
	if _, err := c.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: aws.String("x")}); !errors.As(err, &handle) {
		return fmt.Errorf("no receipt: %w", err)
	}
	var empty *types.EmptyBatchRequest
	if _, err := c.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: url, Entries: []types.DeleteMessageBatchRequestEntry{}}); !errors.As(err, &empty) {
		return fmt.Errorf("an empty batch: %w", err)
	}
	var content *types.InvalidMessageContents
	if _, err := c.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("\x01")}); !errors.As(err, &content) {
		return fmt.Errorf("a body with a control character: %w", err)
	}
	var unsupported *types.UnsupportedOperation
	arn := aws.String("arn:aws:sqs:us-east-1:000000000000:go")
	if _, err := c.StartMessageMoveTask(ctx, &sqs.StartMessageMoveTaskInput{SourceArn: arn}); !errors.As(err, &unsupported) {
		return fmt.Errorf("a move out of a queue that takes no dead letters: %w", err)
	}
	return nil
}
