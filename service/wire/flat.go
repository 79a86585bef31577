package wire

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"casemate"
)

// Amazon SQS speaks the older query protocol with flattened lists and maps: "Attribute.1.Name=DelaySeconds" for a member
// Attributes of the JSON protocol, <Message> after <Message> in an answer
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-xml.html).

// flattened says what a repeated parameter is in JSON: a list, or a map by the members that hold its keys and values.
type flattened struct{ element, member, key, value string }

var flats = []flattened{
	{"AttributeName", "AttributeNames", "", ""}, {"MessageAttributeName", "MessageAttributeNames", "", ""},
	{"MessageSystemAttributeName", "MessageSystemAttributeNames", "", ""}, {"TagKey", "TagKeys", "", ""},
	{"AWSAccountId", "AWSAccountIds", "", ""}, {"ActionName", "Actions", "", ""},
	{"SendMessageBatchRequestEntry", "Entries", "", ""}, {"DeleteMessageBatchRequestEntry", "Entries", "", ""},
	{"ChangeMessageVisibilityBatchRequestEntry", "Entries", "", ""},
	{"Attribute", "Attributes", "Name", "Value"}, {"Tag", "Tags", "Key", "Value"},
	{"MessageAttribute", "MessageAttributes", "Name", "Value"}, {"MessageSystemAttribute", "MessageSystemAttributes", "Name", "Value"},
	{"Message", "Messages", "", ""}, {"QueueUrl", "QueueUrls", "", ""}, {"QueueUrl", "queueUrls", "", ""}, {"BatchResultErrorEntry", "Failed", "", ""},
}

// counted are the members that are numbers in JSON.
var counted = []string{"DelaySeconds", "MaxNumberOfMessages", "MaxNumberOfMessagesPerSecond", "VisibilityTimeout", "WaitTimeSeconds", "MaxResults"}

const (
	flatDepth = 6
	queueHome = "sqs"
)

// unflatten makes the JSON question of flattened parameters.
func unflatten(members map[string]string) ([]byte, error) {
	root := map[string]any{}
	for name, value := range members {
		steps := strings.Split(name, ".")
		if len(steps) > flatDepth {
			return nil, unflat("a parameter is nested too deeply")
		}
		at := root
		for _, s := range steps[:len(steps)-1] {
			next, ok := at[s].(map[string]any)
			if at[s] == nil {
				next, ok = map[string]any{}, true
				at[s] = next
			}
			if !ok {
				return nil, unflat("a parameter has a value and members")
			}
			at = next
		}
		last := steps[len(steps)-1]
		if at[last] != nil {
			return nil, unflat("a parameter has a value and members")
		}
		at[last] = value
	}
	v, err := structured(root)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

func unflat(why string) error {
	return &casemate.Error{Code: casemate.Invalid, AWS: "MalformedInput", Message: why}
}

// structured turns the members of one structure into what they are in JSON.
func structured(in map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(in))
	for name, v := range in {
		list, nested := v.(map[string]any)
		i := slices.IndexFunc(flats, func(f flattened) bool { return f.element == name })
		var err error
		switch {
		case nested && i >= 0:
			out[flats[i].member], err = repeated(flats[i], list)
		case nested:
			out[name], err = structured(list)
		case slices.Contains(counted, name):
			n, bad := strconv.ParseInt(v.(string), 10, 32)
			if err = nil; bad != nil {
				err = unflat("the parameter " + name + " is no number")
			}
			out[name] = n
		default:
			out[name] = v
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// repeated makes a list, or a map, of numbered members. The numbers need not begin at one, but each is one.
func repeated(f flattened, in map[string]any) (any, error) {
	order := make([]int, 0, len(in))
	for key := range in {
		n, err := strconv.Atoi(key)
		if err != nil || n < 0 || strconv.Itoa(n) != key {
			return nil, unflat("the members of " + f.element + " are not numbered")
		}
		order = append(order, n)
	}
	slices.Sort(order)
	list, byKey := []any{}, map[string]any{}
	for _, n := range order {
		v := in[strconv.Itoa(n)]
		if s, ok := v.(map[string]any); ok {
			var err error
			if v, err = structured(s); err != nil {
				return nil, err
			}
		}
		if f.key == "" {
			list = append(list, v)
			continue
		}
		m, _ := v.(map[string]any)
		key, ok := m[f.key].(string)
		if _, twice := byKey[key]; !ok || twice {
			return nil, unflat("a member of " + f.element + " has no " + f.key + ", or that of another")
		}
		byKey[key] = m[f.value]
	}
	if f.key == "" {
		return list, nil
	}
	return byKey, nil
}

// flatAnswer writes an operation's JSON as flattened XML. An operation without an answer has no result element.
func flatAnswer(operation, namespace, id string, payload []byte) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(xml.Header + "<" + operation + `Response xmlns="` + namespace + `">`)
	if len(payload) > 0 {
		d := json.NewDecoder(bytes.NewReader(payload))
		d.UseNumber()
		var v map[string]any
		if err := d.Decode(&v); err != nil {
			return nil, errors.New("an answer is no JSON object")
		}
		b.WriteString("<" + operation + "Result>")
		flatMembers(&b, operation, v)
		b.WriteString("</" + operation + "Result>")
	}
	b.WriteString("<ResponseMetadata>")
	element(&b, "RequestId", id)
	b.WriteString("</ResponseMetadata></" + operation + "Response>")
	return b.Bytes(), nil
}

func flatMembers(b *bytes.Buffer, operation string, v map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(v)) {
		i := slices.IndexFunc(flats, func(f flattened) bool { return f.member == name })
		switch x := v[name].(type) {
		case []any:
			inner := operation + "ResultEntry" // of a batch: Successful
			if i >= 0 {
				inner = flats[i].element
			}
			for _, e := range x {
				flatValue(b, operation, inner, e)
			}
		case map[string]any:
			if i < 0 || flats[i].key == "" {
				flatValue(b, operation, name, x)
				continue
			}
			f := flats[i]
			for _, key := range slices.Sorted(maps.Keys(x)) {
				b.WriteString("<" + f.element + ">")
				element(b, f.key, key)
				flatValue(b, operation, f.value, x[key])
				b.WriteString("</" + f.element + ">")
			}
		default:
			flatValue(b, operation, name, x)
		}
	}
}

func flatValue(b *bytes.Buffer, operation, name string, v any) {
	switch x := v.(type) {
	case map[string]any:
		b.WriteString("<" + name + ">")
		flatMembers(b, operation, x)
		b.WriteString("</" + name + ">")
	case string:
		element(b, name, x)
	case json.Number:
		element(b, name, x.String())
	case bool:
		element(b, name, strconv.FormatBool(x))
	}
}

// queueWords are the codes of SQS's JSON protocol whose words in the query protocol are others
// (https://github.com/boto/botocore, model sqs/2012-11-05, awsQueryCompatible).
var queueWords = map[string]string{
	"QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue", "QueueNameExists": "QueueAlreadyExists",
	"QueueDeletedRecently": "AWS.SimpleQueueService.QueueDeletedRecently", "PurgeQueueInProgress": "AWS.SimpleQueueService.PurgeQueueInProgress",
	"TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
	"BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "BatchRequestTooLong": "AWS.SimpleQueueService.BatchRequestTooLong",
	"InvalidBatchEntryId": "AWS.SimpleQueueService.InvalidBatchEntryId", "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
	"UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation", "AccessDeniedException": "AccessDenied",
}

// queueRefusal puts SQS's two words for an error where each protocol wants them.
func (p Protocol) queueRefusal(e *casemate.Error) (code, word string) {
	code = p.code(e)
	if word = queueWords[code]; word == "" {
		if word = code; e.AWS == "" {
			word = p.plain(e.Code)
		}
	}
	if p == jsonQuery && e.AWS != "" {
		code = "com.amazonaws.sqs#" + code
	}
	return code, word
}
