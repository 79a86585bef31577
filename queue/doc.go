// Package queue keeps message queues as Amazon SQS does: standard queues, which hand out each message at least once, and
// FIFO queues, which keep the order of each message group. What Send acknowledged is durable, and stays until somebody
// deletes it, it is moved to a dead-letter queue, or its retention is over
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/welcome.html).
//
// Each queue is a journal of the store with its state in memory: about 300 bytes a message, and the bodies of the first ones
// up to a bound of the whole room.
package queue
