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

func TestPages(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	var all []string
	token := ""
	for range 10 {
		page, next, err := pageOf(names, 2, token)
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
	if _, _, err := pageOf(names, 2, "%"); casemate.CodeOf(err) != casemate.Invalid {
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
