package sam

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"casemate/sam/template"
)

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func unit(n int, of string) string { return strconv.Itoa(n) + of }

func counting(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return unit(n, " "+what+"s")
}

func indexed(path string, i int) string { return path + "/" + strconv.Itoa(i) }

// events translates what calls a serverless function
// (https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-eventsource.html).
func events(t *translator, f *function, v template.Value, path string) {
	for _, m := range v.Members {
		at := path + "/" + m.Key
		typ, _ := m.Value.Get("Type")
		props, _ := m.Value.Get("Properties")
		switch typ.Text {
		case "Api", "HttpApi":
			t.event(f, m.Key, typ.Text, props, m.KeyAt, at+"/Properties")
		case "SQS":
			queue, _ := props.Get("Queue")
			t.polled(f, queue, props, m.KeyAt, at+"/Properties")
			t.mayReceive(f, queue)
		case "Schedule", "ScheduleV2":
			t.timed(f, typ.Text, f.ID+"-"+m.Key, props, props, m.KeyAt, at+"/Properties")
		case "S3", "SNS", "Kinesis", "DynamoDB", "MSK", "MQ", "DocumentDB", "SelfManagedKafka", "CloudWatchEvent", "EventBridgeRule", "CloudWatchLogs", "IoTRule",
			"AlexaSkill", "Cognito":
			t.note(NotServed, typ.Text, m.KeyAt, at, "no event of type %s calls the function", typ.Text)
		default:
			t.bad(cmp.Or(typ.At, m.KeyAt), at, "", "%s is no type of event", typ.Quoted())
		}
	}
}

// source names an event source that is not served.
func (t *translator) source(f *function, typ string, at template.Position, path string) {
	t.note(NotServed, typ, at, path, "no event of type %s calls the function", typ)
}

// mayReceive lets a function take the messages of its queue, as SAM does where the function has no Role of its own.
func (t *translator) mayReceive(f *function, queue template.Value) {
	if _, given := f.Properties.Get("Role"); !given && strings.HasPrefix(queue.Text, "arn:aws:sqs:") {
		add(f.doc, "grants", text(queue.At, "receive queue/"+queue.Text[strings.LastIndexByte(queue.Text, ':')+1:]))
	}
}

// queuesOf are the ARNs of the queues that call a function: what its role needs for them, and no more.
func (t *translator) queuesOf(f *function, at template.Position) template.Value {
	out := template.Value{Kind: template.List, At: at}
	take := func(v template.Value) {
		if v.Text != "" && v.Unknown == "" && !slices.ContainsFunc(out.List, func(x template.Value) bool { return x.Text == v.Text }) {
			out.List = append(out.List, text(at, v.Text))
		}
	}
	list, _ := f.Properties.Get("Events")
	for _, m := range list.Members {
		props, _ := m.Value.Get("Properties")
		if typ, _ := m.Value.Get("Type"); typ.Text == "SQS" {
			queue, _ := props.Get("Queue")
			take(queue)
		}
	}
	for i := range t.stack.Resources {
		if r := &t.stack.Resources[i]; r.Type == "AWS::Lambda::EventSourceMapping" {
			if name, _ := r.Properties.Get("FunctionName"); t.functionOf(name) == f {
				source, _ := r.Properties.Get("EventSourceArn")
				take(source)
			}
		}
	}
	return out
}

// functionURL: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-functionurlconfig.html
func functionURL(t *translator, f *function, v template.Value, path string) {
	url := mapping(v.At)
	m, _ := f.Metadata.Get("Casemate")
	own, _ := m.Get("url")
	kind, ok := v.StringAt("AuthType", path, &t.found)
	_, said := own.Get("auth")
	switch {
	case !ok:
		t.bad(v.At, path, "AuthType: AWS_IAM", "the URL has no AuthType")
		return
	case said:
	case kind == "AWS_IAM":
		set(url, "auth", texts(v.At, "sigv4"))
	case kind == "NONE":
		x, ok := t.exception(v.At, f.open, t.open)
		if !ok {
			t.bad(v.At, path+"/AuthType", "AuthType: AWS_IAM; or Metadata: Casemate: url: {auth: [key]}; or, to leave it open, Metadata: Casemate: open: {reason, expires}, or casemate deploy --allow-open REASON",
				"anybody may call the URL of %s", f.ID)
			return
		}
		set(url, "auth", x)
		t.note(Weak, f.Type, v.At, path, "the URL of %s is open to everybody, as the exception says", f.name)
	default:
		t.bad(v.At, path+"/AuthType", "AWS_IAM or NONE", "%q is no AuthType", kind)
		return
	}
	for _, x := range v.Members {
		switch x.Key {
		case "AuthType", "TargetFunctionArn", "Qualifier":
		case "Cors":
			c := t.cors(&api{typ: f.Type}, x.Value, path+"/Cors")
			if pages, ok := c.of(&way{key: "$default"}); ok {
				set(url, "cors", pages)
			}
		case "InvokeMode":
			if x.Value.Text == "RESPONSE_STREAM" {
				set(url, "response", text(x.Value.At, "stream"))
			}
		default:
			t.bad(x.KeyAt, path+"/"+x.Key, "", "there is no such property")
		}
	}
	alias, _ := v.Get("Qualifier")
	target, resource := v.Get("TargetFunctionArn")
	if rest, qualified := strings.CutPrefix(target.Text, t.Place.FunctionARN(f.name)+":"); qualified {
		alias = text(target.At, rest)
	} else if !resource { // of SAM, which puts the URL on the alias that it makes
		alias, _ = f.Properties.Get("AutoPublishAlias")
	}
	switch {
	case alias.Text == "" && alias.Unknown == "":
		set(f.doc, "url", *url)
	case t.wants(alias, path+"/Qualifier", template.String):
		if f.urls == nil {
			f.urls = map[string]template.Value{}
		}
		f.urls[alias.Text] = *url
	}
}

// aliasURLs gives aliases of a function the URLs that stand on them.
func (t *translator) aliasURLs(f *function) {
	all, _ := f.doc.Get("aliases")
	all.Members = slices.Clone(all.Members)
	for _, name := range keys(f.urls) {
		a, ok := all.Get(name)
		if !ok {
			t.bad(f.urls[name].At, "Resources/"+f.ID, "name an AWS::Lambda::Alias of the template, or AutoPublishAlias", "the URL stands on %q, and the function has no such alias", name)
			continue
		}
		a.Members = slices.Clone(a.Members)
		set(&a, "url", f.urls[name])
		set(&all, name, a)
	}
	if len(f.urls) > 0 {
		set(f.doc, "aliases", all)
	}
}
