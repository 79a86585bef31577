// Package queue is the event source for message queues: it takes messages from a queue, in batches, and has a function get
// them as AWS Lambda's event source mappings do
// (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html). Each batch is an event of its own, in the name of its mapping.
//
// A message leaves its queue when its function took it, when no filter wants it, or when it can never be taken: then it is
// moved to the dead-letter queue, or listed as dead, with the reason. All others come back when their visibility timeout is
// over. A batch that is refused for its form is tried again message by message, so that one does not stand in the way of the
// rest.
package queue
