package queue

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
)

// Bounds of a queue, as of Amazon SQS
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html).
const (
	MaxBody       = 1 << 20 // bytes of a message, its attributes included, and of a batch in all
	MaxBatch      = 10
	MaxInFlight   = 120_000
	MaxVisibility = 12 * time.Hour
	MaxDelay      = 15 * time.Minute
	MaxWait       = 20 * time.Second
	MinRetention  = time.Minute
	MaxRetention  = 14 * 24 * time.Hour
	MaxReceives   = 1000
	MaxSources    = 10
	maxTags       = 50
)

// Redrive says where messages go that were received too often.
type Redrive struct {
	Target string `json:"deadLetterTargetArn"`
	Max    int    `json:"maxReceiveCount"`
}

// Allow says which queues may name this one as their dead-letter queue.
type Allow struct {
	Permission string   `json:"redrivePermission"` // allowAll, denyAll or byQueue
	Sources    []string `json:"sourceQueueArns,omitempty"`
}

// Spec is how a queue behaves. It is what a manifest or CreateQueue says; Defaults fills in what was not said.
type Spec struct {
	FIFO         bool          `json:"fifo,omitempty"`
	Visibility   time.Duration `json:"visibility"`
	Delay        time.Duration `json:"delay,omitempty"`
	Retention    time.Duration `json:"retention"`
	Wait         time.Duration `json:"wait,omitempty"` // of a ReceiveMessage that says none
	MaxSize      int           `json:"max_size"`
	Redrive      *Redrive      `json:"redrive,omitempty"`
	Allow        *Allow        `json:"allow,omitempty"`
	Policy       string        `json:"policy,omitempty"` // IAM JSON, as it was given
	ContentDedup bool          `json:"content_dedup,omitempty"`
	DedupGroup   bool          `json:"dedup_group,omitempty"` // duplicates are looked for in one message group
	PerGroup     bool          `json:"per_group,omitempty"`   // FifoThroughputLimit is perMessageGroupId
}

// Defaults are those of CreateQueue.
func Defaults() Spec {
	return Spec{Visibility: 30 * time.Second, Retention: 4 * 24 * time.Hour, MaxSize: MaxBody}
}

// attribute is one name of SetQueueAttributes.
type attribute struct {
	name string
	fifo bool // of FIFO queues alone
	set  func(s *Spec, value string) bool
	get  func(s *Spec) string // "" is not shown
}

func seconds(to func(s *Spec) *time.Duration, low, high time.Duration) (func(*Spec, string) bool, func(*Spec) string) {
	return func(s *Spec, v string) bool {
			n, err := strconv.ParseInt(v, 10, 32)
			d := time.Duration(n) * time.Second
			if err != nil || d < low || d > high {
				return false
			}
			*to(s) = d
			return true
		}, func(s *Spec) string {
			return strconv.Itoa(int(*to(s) / time.Second))
		}
}

func choice(to func(s *Spec) *bool, off, on string) (func(*Spec, string) bool, func(*Spec) string) {
	return func(s *Spec, v string) bool {
			*to(s) = v == on
			return v == on || v == off
		}, func(s *Spec) string {
			if *to(s) {
				return on
			}
			return off
		}
}

// attributes are those that can be set, by CreateQueue and SetQueueAttributes.
func attributes() []attribute {
	row := func(name string, fifo bool, set func(*Spec, string) bool, get func(*Spec) string) attribute {
		return attribute{name, fifo, set, get}
	}
	timed := func(name string, to func(s *Spec) *time.Duration, low, high time.Duration) attribute {
		set, get := seconds(to, low, high)
		return row(name, false, set, get)
	}
	word := func(name, off, on string, to func(s *Spec) *bool) attribute {
		set, get := choice(to, off, on)
		return row(name, true, set, get)
	}
	return []attribute{
		timed("VisibilityTimeout", func(s *Spec) *time.Duration { return &s.Visibility }, 0, MaxVisibility),
		timed("DelaySeconds", func(s *Spec) *time.Duration { return &s.Delay }, 0, MaxDelay),
		timed("MessageRetentionPeriod", func(s *Spec) *time.Duration { return &s.Retention }, MinRetention, MaxRetention),
		timed("ReceiveMessageWaitTimeSeconds", func(s *Spec) *time.Duration { return &s.Wait }, 0, MaxWait),
		row("MaximumMessageSize", false, func(s *Spec, v string) bool {
			n, err := strconv.Atoi(v)
			s.MaxSize = n
			return err == nil && n >= 1024 && n <= MaxBody
		}, func(s *Spec) string { return strconv.Itoa(s.MaxSize) }),
		row("RedrivePolicy", false, setRedrive, func(s *Spec) string { return text(s.Redrive) }),
		row("RedriveAllowPolicy", false, setAllow, func(s *Spec) string { return text(s.Allow) }),
		row("Policy", false, func(s *Spec, v string) bool { s.Policy = v; return v == "" || json.Valid([]byte(v)) }, func(s *Spec) string { return s.Policy }),
		// What is stored here is not encrypted by the queue: nobody is told that it were.
		row("SqsManagedSseEnabled", false, func(_ *Spec, v string) bool { return v == "false" }, func(*Spec) string { return "false" }),
		word("ContentBasedDeduplication", "false", "true", func(s *Spec) *bool { return &s.ContentDedup }),
		word("DeduplicationScope", "queue", "messageGroup", func(s *Spec) *bool { return &s.DedupGroup }),
		word("FifoThroughputLimit", "perQueue", "perMessageGroupId", func(s *Spec) *bool { return &s.PerGroup }),
	}
}

func text[T any](v *T) string {
	if v == nil {
		return ""
	}
	b, _ := json.Marshal(v) // plain strings and numbers
	return string(b)
}

// setRedrive reads a RedrivePolicy. AWS takes the count as a number and as a string.
func setRedrive(s *Spec, v string) bool {
	s.Redrive = nil
	if v == "" {
		return true
	}
	var in struct {
		Target string          `json:"deadLetterTargetArn"`
		Max    json.RawMessage `json:"maxReceiveCount"`
	}
	if json.Unmarshal([]byte(v), &in) != nil {
		return false
	}
	n, err := strconv.Atoi(strings.Trim(string(in.Max), `"`))
	s.Redrive = &Redrive{in.Target, n}
	return err == nil && n >= 1 && n <= MaxReceives && in.Target != ""
}

func setAllow(s *Spec, v string) bool {
	s.Allow = nil
	if v == "" {
		return true
	}
	a := &Allow{}
	if json.Unmarshal([]byte(v), a) != nil {
		return false
	}
	s.Allow = a
	switch a.Permission {
	case "allowAll", "denyAll":
		return len(a.Sources) == 0
	case "byQueue":
		return len(a.Sources) > 0 && len(a.Sources) <= MaxSources
	}
	return false
}

// Set applies attributes by their names in SQS. An unknown name, a value out of its bounds, or one that is for FIFO queues
// alone is refused, with nothing changed.
func (s *Spec) Set(values map[string]string) error {
	next, known := *s, attributes()
	for name, v := range values {
		i := slices.IndexFunc(known, func(a attribute) bool { return a.name == name })
		switch {
		case strings.HasPrefix(name, "Kms"): // a promise of encryption with a key of the caller's
			if v != "" {
				return refusal(casemate.Invalid, "InvalidAttributeValue", "Invalid value for the parameter "+name+": there are no KMS keys here.")
			}
		case name == "FifoQueue":
			if v != "true" && v != "false" || v == "true" != s.FIFO {
				return refusal(casemate.Invalid, "InvalidAttributeValue", "Invalid value for the parameter FifoQueue.")
			}
		case i < 0:
			return refusal(casemate.Invalid, "InvalidAttributeName", "Unknown Attribute "+shown(name)+".")
		case known[i].fifo && !s.FIFO:
			return refusal(casemate.Invalid, "InvalidAttributeName", "You can specify the "+name+" only when FifoQueue is set to true.")
		case !known[i].set(&next, v):
			return refusal(casemate.Invalid, "InvalidAttributeValue", "Invalid value for the parameter "+name+".")
		}
	}
	if next.PerGroup && !next.DedupGroup {
		return refusal(casemate.Invalid, "InvalidAttributeValue", "FifoThroughputLimit perMessageGroupId is allowed only when DeduplicationScope is messageGroup.")
	}
	*s = next
	return nil
}

// Values are the attributes that GetQueueAttributes shows of a spec.
func (s *Spec) Values() map[string]string {
	out := map[string]string{}
	for _, a := range attributes() {
		if a.fifo && !s.FIFO {
			continue
		}
		if v := a.get(s); v != "" {
			out[a.name] = v
		}
	}
	if s.FIFO {
		out["FifoQueue"] = "true"
	}
	return out
}

func (s *Spec) equal(o *Spec) bool { return text(s) == text(o) }

// IsFIFO tells the two kinds of queues apart by their names.
func IsFIFO(name string) bool { return strings.HasSuffix(name, ".fifo") }

// CheckName holds a queue's name to SQS's rule; a FIFO queue's ends in ".fifo".
func CheckName(name string, fifo bool) error {
	stem, is := strings.CutSuffix(name, ".fifo")
	if is != fifo {
		return refusal(casemate.Invalid, "InvalidParameterValue", "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.")
	}
	ok := stem != "" && len(name) <= 80
	for i := 0; i < len(stem); i++ {
		c := stem[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	}
	if !ok {
		return refusal(casemate.Invalid, "InvalidParameterValue", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	return nil
}

// refusal is an error with SQS's own code.
func refusal(c casemate.Code, aws, message string) *casemate.Error {
	return &casemate.Error{Code: c, AWS: aws, Message: message}
}

// shown is a name that a caller wrote, short enough for an error and without what acts in a terminal.
func shown(name string) string {
	if len(name) > 80 {
		name = name[:80]
	}
	q := strconv.QuoteToASCII(name)
	return q[1 : len(q)-1]
}
