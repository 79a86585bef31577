package sam

import (
	"slices"
	"strings"
	"testing"
)

// TestDestinationsOfATemplate: who is told how events end, by the function or by a resource of its own, with the grants that AWS SAM
// gives of itself.
func TestDestinationsOfATemplate(t *testing.T) {
	queues := `
Done: {Type: AWS::SQS::Queue, Properties: {QueueName: done}}
Dead: {Type: AWS::SQS::Queue, Properties: {QueueName: dead}}
Line: {Type: AWS::SQS::Queue, Properties: {QueueName: line.fifo, FifoQueue: true}}
G: {Type: AWS::Serverless::Function, Properties: {FunctionName: audit, CodeUri: src, Runtime: python3.12, Handler: app.handler}}
`
	m, _ := manifestOf(t, app(`
FunctionName: orders
DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Dead.Arn}
EventInvokeConfig:
  MaximumRetryAttempts: 1
  DestinationConfig: {OnSuccess: {Type: SQS, Destination: !GetAtt Done.Arn}, OnFailure: {Type: Lambda, Destination: !GetAtt G.Arn}}
`, queues))
	for path, want := range map[string]string{"functions|orders|async": `{"dead_letter":"queue/dead","on_failure":"function/audit","on_success":"queue/done","retries":1}`, "functions|audit|async": ""} {
		if s := at(m, path); s != want {
			t.Errorf("%s is %s, want %s", path, s, want)
		}
	}
	if s := at(m, "functions|orders|statements"); strings.Count(s, "sqs:SendMessage") != 2 || !strings.Contains(s, ":dead") || !strings.Contains(s, "lambda:InvokeFunction") || !strings.Contains(s, "function:audit") {
		t.Errorf("granted %s", s)
	}
	m, got := manifestOf(t, app("FunctionName: orders\nEventInvokeConfig: {DestinationConfig: {OnFailure: {Type: SNS}}}", queues+`
C: {Type: AWS::Lambda::EventInvokeConfig, Properties: {FunctionName: !Ref F, Qualifier: $LATEST, MaximumEventAgeInSeconds: 60, DestinationConfig: {OnSuccess: {Destination: !GetAtt Done.Arn}}}}
`))
	if s := at(m, "functions|orders|async"); s != `{"max_age":"60s","on_success":"queue/done"}` {
		t.Errorf("async is %s", s)
	}
	if !slices.ContainsFunc(got.Notes, func(n Note) bool { return n.Class == NotServed && strings.HasSuffix(n.Path, "OnFailure") && n.Line > 0 }) {
		t.Errorf("nobody is told about the topic: %v", got.Notes)
	}
	for properties, want := range map[string]string{
		"EventInvokeConfig: {DestinationConfig: {OnFailure: {Destination: !GetAtt Line.Arn}}}": "FIFO queues are not told",
		"EventInvokeConfig: {DestinationConfig: {OnFailure: {Destination: nowhere}}}":          "the ARN of a queue or of a function",
		"EventInvokeConfig: {DestinationConfig: {OnFailed: {Destination: !GetAtt Done.Arn}}}":  "there is no such property",
		"EventInvokeConfig: {DestinationConfig: {OnFailure: {Destinatoin: !GetAtt Done.Arn}}}": "there is no such property",
		"DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt G.Arn}":                               "dead letters go to queues alone",
		"DeadLetterQueue: {TargetArn: !GetAtt Dead.Arn}":                                       "Type and TargetArn are wanted",
	} {
		_, found := made(t, app(properties, queues), setting())
		if len(found) == 0 || !strings.Contains(found.Err().Error(), want) || !strings.Contains(found.Err().Error(), "template.yaml:") {
			t.Errorf("%s: %v", properties, found)
		}
	}
}
