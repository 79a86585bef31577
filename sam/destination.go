package sam

import (
	"strings"

	"casemate/sam/template"
)

// destinationConfig tells who is told how asynchronous events end
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-lambda-eventinvokeconfig-destinationconfig.html,
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-eventinvokedestinationconfiguration.html).
func (t *translator) destinationConfig(f *function, async *template.Value, v template.Value, path string) {
	for _, m := range v.Members {
		key, at := map[string]string{"OnSuccess": "on_success", "OnFailure": "on_failure"}[m.Key], path+"/"+m.Key
		if key == "" {
			t.bad(m.KeyAt, at, template.Nearest(m.Key, []string{"OnSuccess", "OnFailure"}), "there is no such property")
			continue
		}
		for _, x := range m.Value.Members {
			if x.Key != "Destination" && x.Key != "Type" {
				t.bad(x.KeyAt, at+"/"+x.Key, template.Nearest(x.Key, []string{"Destination", "Type"}), "there is no such property")
			}
		}
		typ, _ := m.Value.Get("Type")
		to, ok := m.Value.Get("Destination")
		switch {
		case typ.Text == "SNS", typ.Text == "EventBridge", typ.Text == "S3Bucket":
			t.note(NotServed, f.Type, m.KeyAt, at, "nothing is sent to %s; what failed stays for casemate async", typ.Text)
		case !ok || to.Kind == template.Null:
			t.note(NotServed, f.Type, m.KeyAt, at, "no %s is made of itself: name one as Destination; what failed stays for casemate async", strings.ToLower(typ.Text+" destination"))
		default:
			if said, ok := t.destination(f, to, at+"/Destination"); ok {
				set(async, key, text(to.At, said))
			}
		}
	}
}

// deadLetters is a queue for the events of a function that failed.
func deadLetters(t *translator, f *function, v template.Value, path string) {
	typ, typed := v.Get("Type")
	to, ok := v.Get("TargetArn")
	switch {
	case !ok || !typed && strings.HasSuffix(path, "/DeadLetterQueue"):
		t.bad(v.At, path, "{Type: SQS, TargetArn: !GetAtt Dead.Arn}", "Type and TargetArn are wanted here")
	case typ.Text == "SNS" || strings.HasPrefix(to.Text, "arn:aws:sns:"):
		t.note(NotServed, f.Type, v.At, path, "nothing is sent to a topic; what failed stays for casemate async")
	case to.Kind == template.String && to.Text == "":
	default:
		said, ok := t.destination(f, to, path+"/TargetArn")
		if ok && !strings.HasPrefix(said, "queue/") && !strings.HasPrefix(said, "arn:aws:sqs:") {
			t.bad(to.At, path+"/TargetArn", "{Type: SQS, TargetArn: !GetAtt Dead.Arn}", "dead letters go to queues alone")
			return
		}
		if ok {
			async := asyncOf(f, v.At)
			set(&async, "dead_letter", text(to.At, said))
			set(f.doc, "async", async)
		}
	}
}

// asyncOf is what the manifest says of a function's asynchronous events so far.
func asyncOf(f *function, at template.Position) template.Value {
	if v, ok := f.doc.Get("async"); ok {
		return v
	}
	return *mapping(at)
}

// destination reads whom an ARN is of, and lets the function send there where AWS SAM does so of itself: to a serverless function
// without a Role. ok is false for what is not served, which is named.
func (t *translator) destination(f *function, v template.Value, path string) (said string, ok bool) {
	action := "sqs:SendMessage"
	q, to := t.byARN(v, "AWS::SQS::Queue"), t.functionOf(v)
	switch {
	case v.Unknown != "":
		t.note(NotServed, f.Type, v.At, path, "%s is not there; what failed stays for casemate async", v.Unknown)
		return "", false
	case q != nil && strings.HasSuffix(t.names.of(q.ID, q.Type), ".fifo"), strings.HasPrefix(v.Text, "arn:aws:sqs:") && strings.HasSuffix(v.Text, ".fifo"):
		t.bad(v.At, path, "name a standard queue", "FIFO queues are not told of events")
		return "", false
	case q != nil:
		said = "queue/" + t.names.of(q.ID, q.Type)
	case to != nil && strings.HasPrefix(v.Text, t.Place.FunctionARN(to.name)):
		said, action = "function/"+to.name+strings.TrimPrefix(v.Text, t.Place.FunctionARN(to.name)), "lambda:InvokeFunction"
	case strings.HasPrefix(v.Text, "arn:aws:sqs:"):
		said = v.Text
	case strings.HasPrefix(v.Text, "arn:aws:lambda:"):
		said, action = v.Text, "lambda:InvokeFunction"
	case strings.HasPrefix(v.Text, "arn:aws:"):
		t.note(NotServed, f.Type, v.At, path, "nothing is sent there; what failed stays for casemate async")
		return "", false
	default:
		t.bad(v.At, path, "!GetAtt Done.Arn", "the ARN of a queue or of a function is wanted here")
		return "", false
	}
	if role, given := f.Properties.Get("Role"); f.Type == "AWS::Serverless::Function" && (!given || role.Kind == template.Null) {
		s := mapping(v.At)
		set(s, "Effect", text(v.At, "Allow"))
		set(s, "Action", texts(v.At, action))
		set(s, "Resource", texts(v.At, v.Text))
		f.statements = append(f.statements, *s)
	}
	return said, true
}
