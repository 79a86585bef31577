package lambda

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// SQSAttribute is a message's attribute as a function gets it.
type SQSAttribute struct {
	StringValue      *string  `json:"stringValue,omitempty"`
	BinaryValue      []byte   `json:"binaryValue,omitempty"`
	StringListValues []string `json:"stringListValues"`
	BinaryListValues []string `json:"binaryListValues"`
	DataType         string   `json:"dataType"`
}

// SQSRecord is one message as a function gets it
// (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event). All values of Attributes
// are text.
type SQSRecord struct {
	MessageID              string                  `json:"messageId"`
	ReceiptHandle          string                  `json:"receiptHandle"`
	Body                   string                  `json:"body"`
	Attributes             map[string]string       `json:"attributes"`
	MessageAttributes      map[string]SQSAttribute `json:"messageAttributes"`
	MD5OfMessageAttributes string                  `json:"md5OfMessageAttributes,omitempty"`
	MD5OfBody              string                  `json:"md5OfBody"`
	EventSource            string                  `json:"eventSource"`
	EventSourceARN         string                  `json:"eventSourceARN"`
	AWSRegion              string                  `json:"awsRegion"`
}

// JSON is the record's text, without what JSON for web pages would escape.
func (r *SQSRecord) JSON() ([]byte, error) {
	if r.MessageAttributes == nil {
		r.MessageAttributes = map[string]SQSAttribute{}
	}
	for name, a := range r.MessageAttributes {
		if a.StringListValues == nil || a.BinaryListValues == nil {
			a.StringListValues, a.BinaryListValues = []string{}, []string{}
			r.MessageAttributes[name] = a
		}
	}
	r.EventSource = "aws:sqs"
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return nil, fmt.Errorf("encoding a message: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// SQSEvent is the event of records in JSON.
func SQSEvent(records [][]byte) []byte {
	out := append(make([]byte, 0, 1024), `{"Records":[`...)
	for i, r := range records {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, r...)
	}
	return append(out, "]}"...)
}

// BatchFailures reads which items of a batch a function says have failed
// (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting). ok is
// false when all of them count as failed, because the answer is malformed or names one that is not in the batch: has tells.
func BatchFailures(answer []byte, has func(id string) bool) (failed map[string]bool, ok bool) {
	if t := strings.TrimSpace(string(answer)); t == "" || t == "null" {
		return nil, true
	}
	var in map[string]json.RawMessage
	if json.Unmarshal(answer, &in) != nil {
		return nil, false
	}
	list, said := in["batchItemFailures"]
	if !said {
		return nil, true
	}
	var items []map[string]json.RawMessage
	if json.Unmarshal(list, &items) != nil {
		return nil, false
	}
	failed = map[string]bool{}
	for _, item := range items {
		var id string
		if json.Unmarshal(item["itemIdentifier"], &id) != nil || id == "" || !has(id) {
			return nil, false
		}
		failed[id] = true
	}
	return failed, true
}
