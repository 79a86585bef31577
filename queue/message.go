package queue

import (
	"crypto/md5" // #nosec: SQS's own checksum of what was sent, no protection
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"casemate"
)

// Attribute is one attribute of a message. DataType is String, Number or Binary, with a label of one's own behind a dot.
type Attribute struct {
	DataType string `json:"t"`
	Text     string `json:"s,omitempty"`
	Binary   []byte `json:"b,omitempty"`
}

// Outgoing is a message to be sent.
type Outgoing struct {
	Body       string
	Attributes map[string]Attribute
	Trace      string         // the system attribute AWSTraceHeader; "" is none
	Delay      *time.Duration // nil: the queue's
	Group      string
	Dedup      string
	Sender     string
	Lineage    *casemate.Lineage // of the run that sends it; nil: none does
}

// Message is one that was received. Its receipt handle is good for this receive alone.
type Message struct {
	ID         string
	Handle     string
	Body       string
	Attributes map[string]Attribute
	Trace      string
	Group      string
	Dedup      string
	Sequence   string // FIFO queues alone
	Sender     string
	Sent       time.Time
	First      time.Time // when it was first received
	Receives   int
	Source     string // ARN of the queue that it was moved here from; "" when it was sent here
	Reason     string // why it was moved, when that was not for its receives alone
	Lineage    *casemate.Lineage

	num uint64
}

// Sent is what Send says of a message.
type Sent struct {
	ID           string
	BodyMD5      string
	AttributeMD5 string // "" without attributes
	TraceMD5     string
	Sequence     string
}

// size is what counts against the bound: the body, and name, type and value of each attribute.
func (o *Outgoing) size() int {
	n := len(o.Body)
	for name, a := range o.Attributes {
		n += len(name) + len(a.DataType) + len(a.Text) + len(a.Binary)
	}
	return n
}

// check holds a message to the rules of SQS
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html).
func (o *Outgoing) check(s *Spec) error {
	switch {
	case o.Body == "":
		return refusal(casemate.Invalid, "MissingParameter", "The request must contain the parameter MessageBody.")
	case o.size() > s.MaxSize:
		return refusal(casemate.Invalid, "InvalidParameterValue", "One or more parameters are invalid. Reason: Message must be shorter than "+strconv.Itoa(s.MaxSize)+" bytes.")
	case !characters(o.Body):
		return refusal(casemate.Invalid, "InvalidMessageContents", "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
	case o.Delay != nil && (*o.Delay < 0 || *o.Delay > MaxDelay):
		return invalid("DelaySeconds", strconv.Itoa(int(*o.Delay/time.Second)), "DelaySeconds must be >= 0 and <= 900.")
	case len(o.Attributes) > 10:
		return refusal(casemate.Invalid, "InvalidParameterValue", "Number of message attributes ["+strconv.Itoa(len(o.Attributes))+"] exceeds the allowed maximum [10].")
	case len(o.Trace) > 1024 || !characters(o.Trace):
		return refusal(casemate.Invalid, "InvalidParameterValue", "Value for the message system attribute AWSTraceHeader is invalid.")
	}
	for _, name := range slices.Sorted(maps.Keys(o.Attributes)) {
		if err := checkAttribute(name, o.Attributes[name]); err != nil {
			return err
		}
	}
	return o.checkFIFO(s)
}

func (o *Outgoing) checkFIFO(s *Spec) error {
	switch {
	case !s.FIFO && o.Dedup != "":
		return invalid("MessageDeduplicationId", shown(o.Dedup), "The request includes a parameter that is not valid for this queue type.")
	case o.Group != "" && !identifier(o.Group):
		return invalid("MessageGroupId", shown(o.Group), "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.")
	case o.Dedup != "" && !identifier(o.Dedup):
		return invalid("MessageDeduplicationId", shown(o.Dedup), "MessageDeduplicationId can only include alphanumeric and punctuation characters. 1 to 128 in length.")
	case !s.FIFO:
		return nil
	case o.Group == "":
		return refusal(casemate.Invalid, "MissingParameter", "The request must contain the parameter MessageGroupId.")
	case o.Delay != nil && *o.Delay != s.Delay:
		return invalid("DelaySeconds", strconv.Itoa(int(*o.Delay/time.Second)), "The request include parameter that is not valid for this queue type.")
	case o.Dedup == "" && !s.ContentDedup:
		return refusal(casemate.Invalid, "InvalidParameterValue", "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	}
	if o.Dedup == "" {
		sum := sha256.Sum256([]byte(o.Body))
		o.Dedup = hex.EncodeToString(sum[:])
	}
	return nil
}

func invalid(parameter, value, reason string) error {
	return refusal(casemate.Invalid, "InvalidParameterValue", "Value "+value+" for parameter "+parameter+" is invalid. Reason: "+reason)
}

// identifier is what message groups and deduplication ids are made of.
func identifier(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= 128
}

// characters reports whether s is text that a message may hold: valid UTF-8, and of the control characters tab, line feed
// and carriage return alone.
func characters(s string) bool {
	for i, r := range s {
		switch {
		case r == '\t', r == '\n', r == '\r':
		case r < ' ', r == 0xFFFE, r == 0xFFFF:
			return false
		case r == utf8.RuneError:
			if _, n := utf8.DecodeRuneInString(s[i:]); n < 2 {
				return false
			}
		}
	}
	return true
}

// checkAttribute holds one attribute to the rules of names, types and values
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-message-attributes).
func checkAttribute(name string, a Attribute) error {
	bad := func(why string) error {
		return refusal(casemate.Invalid, "InvalidParameterValue", "The message attribute '"+shown(name)+"' "+why)
	}
	if !attributeName(name) {
		return bad("has an invalid name.")
	}
	kind, _, labelled := strings.Cut(a.DataType, ".")
	switch {
	case a.DataType == "":
		return bad("must contain non-empty message attribute type.")
	case len(a.DataType) > 256 || labelled && strings.HasSuffix(a.DataType, ".") || !characters(a.DataType):
		return bad("has an invalid message attribute type.")
	case kind == "Binary":
		if len(a.Binary) == 0 || a.Text != "" {
			return bad("must contain non-empty message attribute value for message attribute type 'Binary'.")
		}
		return nil
	case kind != "String" && kind != "Number":
		return bad("has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.")
	case a.Text == "" || len(a.Binary) > 0:
		return bad("must contain non-empty message attribute value for message attribute type '" + kind + "'.")
	case !characters(a.Text):
		return bad("holds characters that a message must not hold.")
	}
	if kind == "Number" {
		if f, err := strconv.ParseFloat(a.Text, 64); err != nil || math.IsInf(f, 0) || math.IsNaN(f) || strings.ContainsAny(a.Text, "xXpP_") {
			return refusal(casemate.Invalid, "InvalidParameterValue", "Can't cast the value of message (user) attribute '"+name+"' to a number.")
		}
	}
	return nil
}

func attributeName(s string) bool {
	if s == "" || len(s) > 256 || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	if l := strings.ToLower(s); strings.HasPrefix(l, "aws.") || strings.HasPrefix(l, "amazon.") {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// BodyMD5 is the checksum that clients compare.
func BodyMD5(body string) string {
	sum := md5.Sum([]byte(body))
	return hex.EncodeToString(sum[:])
}

// AttributesMD5 is the checksum of attributes: name, type, one byte for the kind, and value of each, with their lengths, by
// name (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-attributes-md5-message-digest-calculation).
// "" for none.
func AttributesMD5(all map[string]Attribute) string {
	if len(all) == 0 {
		return ""
	}
	h := md5.New()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a := all[name]
		sized(h, []byte(name))
		sized(h, []byte(a.DataType))
		if strings.HasPrefix(a.DataType, "Binary") {
			h.Write([]byte{2})
			sized(h, a.Binary)
		} else {
			h.Write([]byte{1})
			sized(h, []byte(a.Text))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sized(h hash.Hash, b []byte) {
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
	h.Write(b)
}

// traceMD5 is the checksum of the one system attribute.
func traceMD5(trace string) string {
	if trace == "" {
		return ""
	}
	return AttributesMD5(map[string]Attribute{"AWSTraceHeader": {DataType: "String", Text: trace}})
}

// sequence is the sequence number of a FIFO message: twenty digits, growing.
func sequence(num uint64) string {
	s := strconv.FormatUint(num, 10)
	return "18800000000000000000"[:20-len(s)] + s
}

// handle is the receipt of one receive: the message, the receive, and a proof that only who got it can have, from a secret
// that was drawn for the message when it was sent. It is hexadecimal: nothing that looks for attacks in events mistakes it for one.
func handle(queue string, num uint64, receives int, secret [16]byte) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 36), num)
	b = binary.BigEndian.AppendUint32(b, uint32(receives))
	h := sha256.New()
	h.Write(secret[:])
	h.Write(b)
	h.Write([]byte(queue))
	return hex.EncodeToString(h.Sum(b)[:36])
}

// parseHandle reads what a handle says it is about. Whether it says so rightly is for the queue to find out.
func parseHandle(text string) (num uint64, receives int, ok bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 36 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(b), int(binary.BigEndian.Uint32(b[8:])), true
}

// System are a message's attributes that the queue knows itself, by SQS's names, all as text.
func (m *Message) System() map[string]string {
	out := map[string]string{"SenderId": m.Sender, "SentTimestamp": millis(m.Sent), "ApproximateReceiveCount": strconv.Itoa(m.Receives),
		"ApproximateFirstReceiveTimestamp": millis(m.First)}
	for name, v := range map[string]string{"MessageGroupId": m.Group, "MessageDeduplicationId": m.Dedup, "SequenceNumber": m.Sequence,
		"AWSTraceHeader": m.Trace, "DeadLetterQueueSourceArn": m.Source} {
		if v != "" {
			out[name] = v
		}
	}
	return out
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
