package wire

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"casemate"
)

func sqsCall(body, path string) *Call {
	return &Call{Signed: &casemate.Signed{Method: "POST", Path: path, Header: map[string][]string{"content-type": {casemate.FormType}}}, Service: Lookup("sqs"), Protocol: query, Body: []byte(body)}
}

func TestFlattenedParametersBecomeMembers(t *testing.T) {
	for name, c := range map[string]struct{ in, path, want string }{
		"attributes": {"Action=CreateQueue&QueueName=a&Attribute.1.Name=DelaySeconds&Attribute.1.Value=5&Attribute.2.Name=FifoQueue&Attribute.2.Value=true", "/",
			`{"Attributes":{"DelaySeconds":"5","FifoQueue":"true"},"QueueName":"a"}`},
		"a batch": {"Action=SendMessageBatch&QueueUrl=u&SendMessageBatchRequestEntry.2.Id=b&SendMessageBatchRequestEntry.2.MessageBody=B&SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.DelaySeconds=3&SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=n&SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType=String&SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue=v", "/",
			`{"Entries":[{"DelaySeconds":3,"Id":"a","MessageAttributes":{"n":{"DataType":"String","StringValue":"v"}}},{"Id":"b","MessageBody":"B"}],"QueueUrl":"u"}`},
		"names":         {"Action=ReceiveMessage&AttributeName.1=All&MaxNumberOfMessages=10", "/0/jobs", `{"AttributeNames":["All"],"MaxNumberOfMessages":10,"QueueUrl":"/0/jobs"}`},
		"a dotted text": {"Action=SendMessage&QueueUrl=u&MessageBody=" + url.QueryEscape("a.b=c&d"), "/", `{"MessageBody":"a.b=c\u0026d","QueueUrl":"u"}`},
	} {
		got, err := sqsCall(c.in, c.path).Question()
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s %v", name, got, err)
		}
	}
	for _, in := range []string{"Attribute.x.Name=a", "Attribute.1.Value=a", "Attribute.1.Name=a&Attribute.2.Name=a", "A=1&A.b=2", "a.b.c.d.e.f.g=1", "MaxNumberOfMessages=ten", "Attribute.01.Name=a"} {
		if got, err := sqsCall("Action=X&"+in, "/").Question(); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%s: %s %v", in, got, err)
		}
	}
}

func FuzzFlattened(f *testing.F) {
	f.Add("Attribute.1.Name", "a", "Attribute.1.Value", "b")
	f.Add("A", "1", "A.b.c", "2")
	f.Fuzz(func(t *testing.T, a, av, b, bv string) {
		got, err := unflatten(map[string]string{a: av, b: bv})
		if err == nil && !json.Valid(got) {
			t.Errorf("%q", got)
		}
	})
}

func TestAnswersAreFlattened(t *testing.T) {
	c := sqsCall("Action=ReceiveMessage&Version=2012-11-05", "/")
	r, err := c.Answer("id", []byte(`{"Messages":[{"Body":"<a>","Attributes":{"SentTimestamp":"1"},"MessageAttributes":{"n":{"DataType":"Binary","BinaryValue":"AQ=="}}}]}`))
	want := `<ReceiveMessageResult><Message><Attribute><Name>SentTimestamp</Name><Value>1</Value></Attribute><Body>&lt;a&gt;</Body><MessageAttribute><Name>n</Name><Value><BinaryValue>AQ==</BinaryValue><DataType>Binary</DataType></Value></MessageAttribute></Message></ReceiveMessageResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></ReceiveMessageResponse>`
	if err != nil || !strings.HasSuffix(string(r.Body), want) || !strings.Contains(string(r.Body), `xmlns="http://queue.amazonaws.com/doc/2012-11-05/"`) {
		t.Errorf("%s %v", r.Body, err)
	}
	b, err := sqsCall("Action=SendMessageBatch", "/").Answer("id", []byte(`{"Successful":[{"Id":"a"}],"Failed":[{"Id":"b","SenderFault":true}]}`))
	if err != nil || !strings.Contains(string(b.Body), `<BatchResultErrorEntry><Id>b</Id><SenderFault>true</SenderFault></BatchResultErrorEntry><SendMessageBatchResultEntry><Id>a</Id></SendMessageBatchResultEntry>`) {
		t.Errorf("%s %v", b.Body, err)
	}
}

// Both words of an error reach who speaks either protocol.
func TestQueueErrorsHaveTheWordsOfBothProtocols(t *testing.T) {
	e := &casemate.Error{Code: casemate.NotFound, AWS: "QueueDoesNotExist", Message: "m"}
	r := jsonQuery.Refusal(e, "", "id")
	if r.Status != 400 || r.Header["X-Amzn-Query-Error"] != "AWS.SimpleQueueService.NonExistentQueue;Sender" || string(r.Body) != `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"m"}` {
		t.Errorf("%+v %s", r, r.Body)
	}
	if r := query.Refusal(e, "", "id"); !strings.Contains(string(r.Body), "<Code>AWS.SimpleQueueService.NonExistentQueue</Code>") {
		t.Errorf("%s", r.Body)
	}
	if r := jsonQuery.Refusal(&casemate.Error{Code: casemate.Invalid, AWS: "InvalidParameterValue", Message: "m"}, "", "id"); r.Header["X-Amzn-Query-Error"] != "InvalidParameterValue;Sender" {
		t.Errorf("%+v", r)
	}
}

// TestQueuesAreAskedInTheQueryProtocolBy: what a client of the query protocol sends, by POST or by GET, whatever target it names, is
// what its parameters say.
func TestQueuesAreAskedInTheQueryProtocolBy(t *testing.T) {
	const action = "Action=SendMessage&MessageBody=a+b"
	json := map[string][]string{"x-amz-target": {"AmazonSQS.ListQueues"}, "content-type": {"application/x-amz-json-1.0"}}
	for name, c := range map[string]struct {
		method, query, body string
		header              map[string][]string
		protocol            Protocol
		asks                string
	}{
		"a GET":                {"GET", action + "&Version=2012-11-05", "", nil, query, "SendMessage"},
		"a GET that is signed": {"GET", "X-Amz-Expires=60&" + action, "", nil, query, "SendMessage"},
		"a form":               {"POST", "", action, map[string][]string{"content-type": {casemate.FormType}}, query, "SendMessage"},
		"a form and a target": {"POST", "", action, map[string][]string{"content-type": {casemate.FormType + ";charset=utf-8"}, "x-amz-target": {"AmazonSQSv20121105.DeleteQueue"}},
			query, "SendMessage"},
		"JSON":             {"POST", "", "{}", json, jsonQuery, "ListQueues"},
		"JSON and a query": {"POST", action, "{}", json, jsonQuery, "ListQueues"},
		"neither":          {"GET", "NoAction=SendMessage", "", nil, jsonQuery, "GET"},
	} {
		call := Hear(&casemate.Signed{Method: c.method, Path: "/0/jobs", Query: c.query, Header: c.header}, "sqs")
		call.Body = []byte(c.body)
		if call.Protocol != c.protocol || call.Operation() != c.asks {
			t.Errorf("%s: %s, %s", name, call.Protocol, call.Operation())
		}
		if q, err := call.Question(); c.asks == "SendMessage" && (err != nil || string(q) != `{"MessageBody":"a b","QueueUrl":"/0/jobs"}`) {
			t.Errorf("%s: %s %v", name, q, err)
		}
	}
}

// TestFormsHaveTheBoundOfTheirOperation: what a form says beside the question is in memory for as long as a receive waits.
func TestFormsHaveTheBoundOfTheirOperation(t *testing.T) {
	o := &casemate.Operation{Body: 100}
	tooLarge, long := casemate.TooLarge.String(), strings.Repeat("0", 200)
	for text, want := range map[string]string{
		"Action=ReceiveMessage&Version=2012-11-05":             "",
		"Action=ReceiveMessage&X-Amz-Nothing=" + long:          tooLarge,
		"Action=ReceiveMessage&Version=" + long:                tooLarge,
		"Action=ReceiveMessage&ReceiptHandle=" + long:          "", // the corridor's to refuse, and to record
		"Action=ReceiveMessage&ReceiptHandle=a&Action=" + long: casemate.Invalid.String(),
	} {
		got := ""
		if _, err := sqsCall(text, "/0/jobs").Asks(o); err != nil {
			got = casemate.CodeOf(err).String()
		}
		if got != want {
			t.Errorf("%.50s: %q instead of %q", text, got, want)
		}
	}
}

// TestNamespacesAreAWSs: an answer and an error name the namespace that the API model of the service has.
func TestNamespacesAreAWSs(t *testing.T) {
	for _, c := range []struct{ service, body, want string }{
		{"sqs", "Action=ListQueues&Version=2012-11-05", `xmlns="http://queue.amazonaws.com/doc/2012-11-05/"`},
		{"sqs", "Action=ListQueues", `xmlns="http://queue.amazonaws.com/doc/2012-11-05/"`},
		{"sqs", "Action=ListQueues&Version=%22%3E", `xmlns="http://queue.amazonaws.com/doc/2012-11-05/"`},
		{"sts", "Action=GetCallerIdentity&Version=2011-06-15", `xmlns="https://sts.amazonaws.com/doc/2011-06-15/"`},
		{"sts", "Action=GetCallerIdentity", `xmlns="https://sts.amazonaws.com/doc/2011-06-15/"`},
		{"iam", "Action=ListRoles&Version=2010-05-08", `xmlns="https://iam.amazonaws.com/doc/2010-05-08/"`},
		{"sns", "Action=Publish&Version=2010-03-31", `xmlns="http://sns.amazonaws.com/doc/2010-03-31/"`},
	} {
		s := &casemate.Signed{Method: "POST", Path: "/", Header: map[string][]string{"content-type": {"application/x-www-form-urlencoded"}}}
		call := Hear(s, c.service)
		call.Body = []byte(c.body)
		if r := call.Refusal(&casemate.Error{Code: casemate.Forbidden, Message: "m"}, "id"); !strings.Contains(string(r.Body), "<ErrorResponse "+c.want+"><Error>") {
			t.Errorf("%s: %s", c.service, r.Body)
		}
		if r, err := call.Answer("id", []byte(`{}`)); err != nil || !strings.Contains(string(r.Body), "Response "+c.want+">") {
			t.Errorf("%s: %s %v", c.service, r.Body, err)
		}
	}
}
