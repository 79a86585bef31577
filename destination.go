package casemate

import "strings"

// Destination says what it takes to send to an ARN that is to be told how asynchronous events end: the IAM action, on the ARN
// as it is. ok is false for what is neither a standard queue nor a function of this place; FIFO queues are none, as on AWS
// (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html).
func (p Place) Destination(arn string) (action string, ok bool) {
	if name, is := p.QueueName(arn); is {
		return "sqs:SendMessage", !strings.HasSuffix(name, ".fifo")
	}
	rest, is := strings.CutPrefix(arn, p.FunctionARN(""))
	name, qualifier, more := strings.Cut(rest, ":")
	return "lambda:InvokeFunction", is && name != "" && (!more || qualifier != "") && !strings.ContainsAny(qualifier, ":/")
}
