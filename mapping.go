package casemate

import (
	"strings"
	"time"
)

// Mapping is an event source mapping: what is in a source goes to a function, in batches
// (https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html).
type Mapping struct {
	ID          string        `json:"id"` // UUID
	App         string        `json:"app"`
	Function    string        `json:"function"`            // by name
	Qualifier   string        `json:"qualifier,omitempty"` // version or alias; "": what is in force
	Source      string        `json:"source"`              // ARN
	Batch       int           `json:"batch"`
	Window      time.Duration `json:"window,omitempty"`
	Partial     bool          `json:"partial,omitempty"` // the function reports which items failed
	Filters     []string      `json:"filters,omitempty"` // patterns, one of which must match; none: everything goes
	Concurrency int           `json:"concurrency,omitempty"`
	Disabled    bool          `json:"disabled,omitempty"`
	Modified    time.Time     `json:"modified,omitzero"` // of mappings that Lambda's API made
}

// Role is the role that a mapping calls its function in. Its slash keeps it apart from roles of callers; the one statement
// that it has is written with the mapping.
func (m *Mapping) Role() string { return "mapping/" + m.ID }

// Target is the function as an event names it.
func (m *Mapping) Target() string {
	if m.Qualifier == "" {
		return m.Function
	}
	return m.Function + ":" + m.Qualifier
}

// MappingARN is arn:aws:lambda:<region>:<account>:event-source-mapping:<id>.
func (p Place) MappingARN(id string) string {
	return "arn:aws:lambda:" + p.Region + ":" + p.Account + ":event-source-mapping:" + id
}

// QueueARN is arn:aws:sqs:<region>:<account>:<name>.
func (p Place) QueueARN(name string) string {
	return "arn:aws:sqs:" + p.Region + ":" + p.Account + ":" + name
}

// QueueName is the name in a queue's ARN of this place; ok is false for any other.
func (p Place) QueueName(arn string) (name string, ok bool) {
	name, ok = strings.CutPrefix(arn, p.QueueARN(""))
	return name, ok && name != "" && !strings.ContainsAny(name, ":/")
}

// Queue is a message queue that an app declares. It is a FIFO queue exactly when its name ends in ".fifo". Zero times and
// sizes are SQS's defaults.
type Queue struct {
	Visibility   time.Duration `json:"visibility,omitempty"`
	Delay        time.Duration `json:"delay,omitempty"`
	Retention    time.Duration `json:"retention,omitempty"`
	Wait         time.Duration `json:"wait,omitempty"`
	MaxSize      int           `json:"max_size,omitempty"`
	DeadLetter   string        `json:"dead_letter,omitempty"` // name of the queue for what was received Receives times
	Receives     int           `json:"receives,omitempty"`
	ContentDedup bool          `json:"content_dedup,omitempty"`
	DedupGroup   bool          `json:"dedup_group,omitempty"`
}
