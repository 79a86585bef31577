package sqs

import (
	"testing"

	"casemate"
	"casemate/internal/casetest/storetest"
	"casemate/queue"
	"casemate/store"
)

// What the policy decides on is what the operation touches, however a client writes the queue's URL.
func TestQueueURLs(t *testing.T) {
	const arn = "arn:aws:sqs:us-east-1:000000000000:"
	for url, want := range map[string]string{
		"http://localhost:4566/000000000000/jobs": arn + "jobs", "https://sqs.us-east-1.amazonaws.com/000000000000/jobs.fifo": arn + "jobs.fifo",
		"/000000000000/jobs": arn + "jobs", "jobs": arn + "jobs", "http://x/000000000000/a%2Db": arn + "a-b",
		"": "MissingParameter", "http://x/111111111111/jobs": "QueueDoesNotExist", "http://x/000000000000/a/b": "InvalidParameterValue", "http://x/000000000000/*": "InvalidParameterValue",
		"http://x/000000000000/": "InvalidParameterValue", "http://x/000000000000/a%2Fb": "InvalidParameterValue", "http://[::1": "InvalidAddress", "http://x/000000000000/jobs:x": "InvalidParameterValue",
	} {
		got, err := (&home{url}).queue(casemate.DefaultPlace)
		if err != nil {
			got = casemate.AsError(err).AWS
		}
		if got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

func TestBatchesAreHeldToTheRules(t *testing.T) {
	for name, c := range map[string]struct {
		ids  []string
		code string
	}{
		"one": {[]string{"a-_9"}, ""}, "none": {nil, "EmptyBatchRequest"}, "twice": {[]string{"a", "a"}, "BatchEntryIdsNotDistinct"}, "a dot": {[]string{"a.b"}, "InvalidBatchEntryId"},
		"eleven": {make([]string, 11), "TooManyEntriesInBatchRequest"}, "empty": {[]string{""}, "InvalidBatchEntryId"},
	} {
		code := ""
		if err := checkBatch(c.ids); err != nil {
			code = casemate.AsError(err).AWS
		}
		if code != c.code {
			t.Errorf("%s: %s", name, code)
		}
	}
}

// TestBadInputIsNamed: what a queue cannot keep to is refused, with the value and the parameter, and the bounds themselves are not.
func TestBadInputIsNamed(t *testing.T) {
	for _, c := range []struct {
		what string
		err  error
		want string
	}{
		{"bounds", (&receiveIn{MaxNumberOfMessages: new(10), WaitTimeSeconds: new(20), VisibilityTimeout: new(43200), AttributeNames: []string{"All", "Policy", "SenderId"}}).check(false), ""},
		{"none", (&receiveIn{MaxNumberOfMessages: new(0)}).check(false), "Value 0 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."},
		{"many", (&receiveIn{MaxNumberOfMessages: new(11)}).check(false), "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."},
		{"long", (&receiveIn{WaitTimeSeconds: new(21)}).check(false), "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."},
		{"back", (&receiveIn{VisibilityTimeout: new(-1)}).check(false), "Value -1 for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <= 43200, if provided."},
		{"name", (&receiveIn{MessageSystemAttributeNames: []string{"Bo\x1bgus"}}).check(false), `Unknown Attribute Bo\x1bgus.`},
		{"attempt", (&receiveIn{ReceiveRequestAttemptID: "x"}).check(true), ""},
		{"attempt of none", (&receiveIn{ReceiveRequestAttemptID: "x"}).check(false), "Value x for parameter ReceiveRequestAttemptId is invalid. Reason: The request include parameter that is not valid for this queue type."},
		{"permission", (&permissionIn{Label: "a-_9", AWSAccountIds: []string{"000000000000"}, Actions: []string{"SendMessage", "*"}}).check(), ""},
		{"label", (&permissionIn{Label: "a b"}).check(), "Value a b for parameter Label is invalid. Reason: Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length."},
		{"account", (&permissionIn{Label: "l", AWSAccountIds: []string{"abc"}}).check(), "Value abc for parameter PrincipalId is invalid. Reason: Unable to verify."},
		{"action", (&permissionIn{Label: "l", Actions: []string{"Bogus"}}).check(), "Value SQS:Bogus for parameter ActionName is invalid. Reason: Please refer to the appropriate WSDL for a list of valid actions."},
		{"owner's", (&permissionIn{Label: "l", Actions: []string{"DeleteQueue"}}).check(), "Value SQS:DeleteQueue for parameter ActionName is invalid. Reason: Only the queue owner is allowed to invoke this action."},
		{"tags", checkTags(map[string]string{"aws:x": "y"}), "Tag keys are 1 to 128 characters that do not begin with aws:, values 256 at most."},
	} {
		if e := casemate.AsError(c.err); c.want == "" && c.err != nil || c.want != "" && (e == nil || e.Code != casemate.Invalid || e.Message != c.want) {
			t.Errorf("%s: %v", c.what, c.err)
		}
	}
	for _, n := range []int{0, -1, 1001} {
		if _, _, err := pageOf(nil, &n, ""); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("a page of %d: %v", n, err)
		}
	}
	x := "four"
	if n := (&messageIn{MessageBody: "12", MessageAttributes: map[string]attribute{"a": {DataType: "String", StringValue: &x}, "b": {DataType: "Binary", BinaryValue: []byte{1}}}}).size(); n != 2+1+6+4+1+6+1 {
		t.Errorf("size %d", n)
	}
}

func TestPages(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	var all []string
	token := ""
	for range 10 {
		page, next, err := pageOf(names, new(2), token)
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, page...); next == "" {
			break
		}
		token = next
	}
	if len(all) != 5 || all[4] != "e" {
		t.Errorf("%v", all)
	}
	if _, _, err := pageOf(names, new(2), "%"); casemate.CodeOf(err) != casemate.Invalid {
		t.Error("a token that is none")
	}
}

// A name with a pattern asks for no attribute but those that begin with it.
func TestWantedAttributes(t *testing.T) {
	for _, c := range []struct {
		name, ask string
		want      bool
	}{{"foo", "All", true}, {"foo", ".*", true}, {"foo", "foo", true}, {"foo.bar", "foo.*", true}, {"foobar", "foo.*", true}, {"bar", "foo.*", false}, {"foo", "FOO", false}} {
		if got := wanted(c.name, []string{c.ask}); got != c.want {
			t.Errorf("%s of %s: %v", c.name, c.ask, got)
		}
	}
}

// TestDeadLettersAreSent: whoever may not send to a queue has no other queue's dead letters go there, when it makes that one or later.
func TestDeadLettersAreSent(t *testing.T) {
	clock := storetest.NewClock()
	st, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	room, err := queue.Open(t.Context(), queue.Config{Store: st, Place: casemate.DefaultPlace, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = room.Close(); _ = st.Close() })
	for _, name := range []string{"theirs", "mine"} {
		if _, err := room.Create(t.Context(), name, queue.Defaults(), nil, ""); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]casemate.Operation{}
	for _, o := range Operations(Config{Room: room, Place: casemate.DefaultPlace, Clock: clock.Now, May: func(_ *casemate.Launch, action, arn string) error {
		if action == "sqs:SendMessage" && arn == queue.ARN(casemate.DefaultPlace, "mine") {
			return nil
		}
		return casemate.Errorf(casemate.Forbidden, "", "no")
	}}) {
		all[o.Name] = o
	}
	attributes := func(to string) string {
		return `"Attributes":{"RedrivePolicy":"{\"deadLetterTargetArn\":\"` + queue.ARN(casemate.DefaultPlace, to) + `\",\"maxReceiveCount\":1}"}}`
	}
	for _, c := range []struct {
		operation, question string
		code                casemate.Code
	}{
		{"CreateQueue", `{"QueueName":"a",` + attributes("theirs"), casemate.Forbidden},
		{"CreateQueue", `{"QueueName":"b",` + attributes("mine"), 0},
		{"SetQueueAttributes", `{"QueueUrl":"b",` + attributes("theirs"), casemate.Forbidden},
		{"SetQueueAttributes", `{"QueueUrl":"b",` + attributes("mine"), 0},
	} {
		_, err := all[c.operation].Run(t.Context(), &casemate.Launch{Payload: []byte(c.question), Event: &casemate.Event{}})
		if (err != nil) != (c.code != 0) || err != nil && casemate.CodeOf(err) != c.code {
			t.Errorf("%s %s: %v", c.operation, c.question, err)
		}
	}
	if sources := room.Sources("theirs"); len(sources) != 0 {
		t.Errorf("dead letters of %v go there", sources)
	}
}
