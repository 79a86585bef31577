package queue

import (
	"strconv"
	"strings"
	"testing"

	"casemate"
)

// The checksums are those that AWS gave (recorded, as other implementations test them).
func TestAttributeChecksums(t *testing.T) {
	if got := AttributesMD5(map[string]Attribute{"timestamp": {DataType: "Number", Text: "1493147359900"}}); got != "235c5c510d26fb653d073faed50ae77c" {
		t.Errorf("a number: %s", got)
	}
	if got := AttributesMD5(nil); got != "" {
		t.Errorf("none: %s", got)
	}
}

func TestMessagesAreHeldToTheRules(t *testing.T) {
	str := func(v string) map[string]Attribute { return map[string]Attribute{"a": {DataType: "String", Text: v}} }
	named := func(name string) map[string]Attribute {
		return map[string]Attribute{name: {DataType: "String", Text: "v"}}
	}
	many := map[string]Attribute{}
	for i := range 11 {
		many["a"+strconv.Itoa(i)] = Attribute{DataType: "String", Text: "v"}
	}
	standard, fifo := Defaults(), Defaults()
	fifo.FIFO = true
	for name, c := range map[string]struct {
		o    Outgoing
		s    *Spec
		code string // "" is taken
	}{
		"plain":                {Outgoing{Body: "a\tb\r\n\U0001F600"}, &standard, ""},
		"empty":                {Outgoing{}, &standard, "MissingParameter"},
		"a control character":  {Outgoing{Body: "a\x00"}, &standard, "InvalidMessageContents"},
		"no text":              {Outgoing{Body: "a\xff"}, &standard, "InvalidMessageContents"},
		"U+FFFF":               {Outgoing{Body: "a\uffff"}, &standard, "InvalidMessageContents"},
		"U+FFFD":               {Outgoing{Body: "a\ufffd"}, &standard, ""},
		"the largest":          {Outgoing{Body: strings.Repeat("x", MaxBody)}, &standard, ""},
		"too large":            {Outgoing{Body: strings.Repeat("x", MaxBody+1)}, &standard, "InvalidParameterValue"},
		"too large with it":    {Outgoing{Body: strings.Repeat("x", MaxBody-7), Attributes: str("v")}, &standard, "InvalidParameterValue"},
		"an attribute":         {Outgoing{Body: "a", Attributes: str("v")}, &standard, ""},
		"an empty one":         {Outgoing{Body: "a", Attributes: str("")}, &standard, "InvalidParameterValue"},
		"eleven":               {Outgoing{Body: "a", Attributes: many}, &standard, "InvalidParameterValue"},
		"a name of AWS":        {Outgoing{Body: "a", Attributes: named("AWS.x")}, &standard, "InvalidParameterValue"},
		"a name with a dot":    {Outgoing{Body: "a", Attributes: named("x.y")}, &standard, ""},
		"a dot at its end":     {Outgoing{Body: "a", Attributes: named("x.")}, &standard, "InvalidParameterValue"},
		"a name with a space":  {Outgoing{Body: "a", Attributes: named("x y")}, &standard, "InvalidParameterValue"},
		"another type":         {Outgoing{Body: "a", Attributes: map[string]Attribute{"a": {DataType: "Text", Text: "v"}}}, &standard, "InvalidParameterValue"},
		"a type of one's own":  {Outgoing{Body: "a", Attributes: map[string]Attribute{"a": {DataType: "Number.int", Text: "-1.5e3"}}}, &standard, ""},
		"no number":            {Outgoing{Body: "a", Attributes: map[string]Attribute{"a": {DataType: "Number", Text: "one"}}}, &standard, "InvalidParameterValue"},
		"infinite":             {Outgoing{Body: "a", Attributes: map[string]Attribute{"a": {DataType: "Number", Text: "1e999"}}}, &standard, "InvalidParameterValue"},
		"binary":               {Outgoing{Body: "a", Attributes: map[string]Attribute{"a": {DataType: "Binary", Binary: []byte{0}}}}, &standard, ""},
		"binary as text":       {Outgoing{Body: "a", Attributes: map[string]Attribute{"a": {DataType: "Binary", Text: "v"}}}, &standard, "InvalidParameterValue"},
		"fifo":                 {Outgoing{Body: "a", Group: "g", Dedup: "d"}, &fifo, ""},
		"fifo without a group": {Outgoing{Body: "a", Dedup: "d"}, &fifo, "MissingParameter"},
		"fifo without an id":   {Outgoing{Body: "a", Group: "g"}, &fifo, "InvalidParameterValue"},
		"an id without fifo":   {Outgoing{Body: "a", Dedup: "d"}, &standard, "InvalidParameterValue"},
		"a group with a space": {Outgoing{Body: "a", Group: "g g", Dedup: "d"}, &fifo, "InvalidParameterValue"},
		"a long group":         {Outgoing{Body: "a", Group: strings.Repeat("g", 129), Dedup: "d"}, &fifo, "InvalidParameterValue"},
	} {
		err := c.o.check(c.s)
		code := ""
		if err != nil {
			code = casemate.AsError(err).AWS
		}
		if code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAttributesOfQueues(t *testing.T) {
	for name, c := range map[string]struct {
		in   map[string]string
		code string
	}{
		"all": {map[string]string{"VisibilityTimeout": "0", "DelaySeconds": "900", "MessageRetentionPeriod": "60", "ReceiveMessageWaitTimeSeconds": "20", "MaximumMessageSize": "1024",
			"RedrivePolicy": `{"deadLetterTargetArn":"arn:x","maxReceiveCount":"3"}`, "RedriveAllowPolicy": `{"redrivePermission":"allowAll"}`}, ""},
		"unknown": {map[string]string{"Visibility": "1"}, "InvalidAttributeName"}, "too long": {map[string]string{"VisibilityTimeout": "43201"}, "InvalidAttributeValue"},
		"negative": {map[string]string{"DelaySeconds": "-1"}, "InvalidAttributeValue"}, "no number": {map[string]string{"DelaySeconds": "x"}, "InvalidAttributeValue"},
		"of fifo": {map[string]string{"ContentBasedDeduplication": "true"}, "InvalidAttributeName"},
		"a key":   {map[string]string{"KmsMasterKeyId": "alias/aws/sqs"}, "InvalidAttributeValue"}, "encryption": {map[string]string{"SqsManagedSseEnabled": "true"}, "InvalidAttributeValue"},
		"redrive": {map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"arn:x","maxReceiveCount":0}`}, "InvalidAttributeValue"}, "no JSON": {map[string]string{"RedrivePolicy": `{`}, "InvalidAttributeValue"},
		"allow": {map[string]string{"RedriveAllowPolicy": `{"redrivePermission":"byQueue"}`}, "InvalidAttributeValue"}, "policy": {map[string]string{"Policy": "{"}, "InvalidAttributeValue"},
	} {
		s := Defaults()
		before := text(&s)
		err := s.Set(c.in)
		code := ""
		if err != nil {
			code = casemate.AsError(err).AWS
		}
		if code != c.code || err != nil && text(&s) != before {
			t.Errorf("%s: %v, %s", name, err, text(&s))
		}
	}
}

func FuzzRecords(f *testing.F) {
	f.Add((&change{op: 't', now: 1, due: 2, nums: []uint64{1, 2}}).encode())
	f.Add((&change{op: 'd', nums: []uint64{1}}).encode())
	p := put{num: 1}
	f.Add(p.head())
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 0 {
			_, _ = parseChange(data)
			_, _, _ = parsePayload(data)
			parseHandle(string(data))
		}
	})
}
