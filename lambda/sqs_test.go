package lambda

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Lambda checklist: 59
func TestSQSRecordsAreAsRecorded(t *testing.T) {
	text := "<v>"
	r := SQSRecord{MessageID: "2e1424d4-f796-459a-8184-9c92662be6da", ReceiptHandle: "h", Body: "a<b",
		Attributes:        map[string]string{"ApproximateReceiveCount": "1", "SentTimestamp": "1573251510774", "SequenceNumber": "18849496460467696128", "MessageGroupId": "1", "SenderId": "AIDA", "MessageDeduplicationId": "1", "ApproximateFirstReceiveTimestamp": "1573251510774"},
		MessageAttributes: map[string]SQSAttribute{"n": {StringValue: &text, DataType: "String"}, "b": {BinaryValue: []byte{1}, DataType: "Binary"}},
		MD5OfBody:         "e4e68fb7bd0e697a0ae8f1bb342846b3", MD5OfMessageAttributes: "x", EventSourceARN: "arn:aws:sqs:us-east-2:123456789012:fifo.fifo", AWSRegion: "us-east-2"}
	b, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"messageId":"2e1424d4-f796-459a-8184-9c92662be6da","receiptHandle":"h","body":"a<b","attributes":{"ApproximateFirstReceiveTimestamp":"1573251510774","ApproximateReceiveCount":"1","MessageDeduplicationId":"1","MessageGroupId":"1","SenderId":"AIDA","SentTimestamp":"1573251510774","SequenceNumber":"18849496460467696128"},` +
		`"messageAttributes":{"b":{"binaryValue":"AQ==","stringListValues":[],"binaryListValues":[],"dataType":"Binary"},"n":{"stringValue":"<v>","stringListValues":[],"binaryListValues":[],"dataType":"String"}},"md5OfMessageAttributes":"x","md5OfBody":"e4e68fb7bd0e697a0ae8f1bb342846b3","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:us-east-2:123456789012:fifo.fifo","awsRegion":"us-east-2"}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	plain, _ := (&SQSRecord{}).JSON()
	if !strings.Contains(string(plain), `"messageAttributes":{}`) || strings.Contains(string(plain), "md5OfMessageAttributes") {
		t.Errorf("%s", plain)
	}
	if e := SQSEvent([][]byte{plain, plain}); !json.Valid(e) {
		t.Errorf("%s", e)
	}
}

// Lambda checklist: 61
func TestBatchFailures(t *testing.T) {
	has := func(id string) bool { return id == "a" || id == "b" }
	for answer, want := range map[string]string{
		"": "", "null": "", " null ": "", "{}": "", `{"batchItemFailures":null}`: "", `{"batchItemFailures":[]}`: "", `{"statusCode":200}`: "",
		`{"batchItemFailures":[{"itemIdentifier":"a"}]}`: "a", `{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"b"},{"itemIdentifier":"a"}]}`: "a b",
		`{"batchItemFailures":[{"itemIdentifier":""}]}`: "all", `{"batchItemFailures":[{"itemIdentifier":null}]}`: "all", `{"batchItemFailures":[{"id":"a"}]}`: "all",
		`{"batchItemFailures":[{"itemIdentifier":"c"}]}`: "all", `{"batchItemFailures":[{"itemIdentifier":1}]}`: "all", `{"batchItemFailures":"a"}`: "all", `{"batchItemFailures":["a"]}`: "all",
		`{"batchItemFailures":{}}`: "all", `"ok"`: "all", `[]`: "all", `true`: "all", `{"batchItemFailures":[{"itemIdentifier":"a"}`: "all", `x`: "all",
	} {
		failed, ok := BatchFailures([]byte(answer), has)
		got := strings.Join(slices.Sorted(maps.Keys(failed)), " ")
		if !ok {
			got = "all"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", answer, got, want)
		}
	}
}

func FuzzBatchFailures(f *testing.F) {
	f.Add([]byte(`{"batchItemFailures":[{"itemIdentifier":"a"}]}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		failed, ok := BatchFailures(answer, func(id string) bool { return id == "a" })
		if !ok && failed != nil || len(failed) > 1 {
			t.Errorf("%v %v", failed, ok)
		}
	})
}
