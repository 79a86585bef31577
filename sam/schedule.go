package sam

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"casemate/sam/template"
)

// timed translates what calls a function at moments in time: events of type Schedule and ScheduleV2, AWS::Scheduler::Schedule, and
// AWS::Events::Rule with a ScheduleExpression. name is unique in the app; target is where Input stands.
//
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-schedulev2.html
func (t *translator) timed(f *function, typ, name string, props, target template.Value, at template.Position, path string) {
	s := mapping(at)
	set(s, "function", text(at, f.name))
	for _, m := range props.Members {
		where := path + "/" + m.Key
		switch m.Key {
		case "Schedule", "ScheduleExpression":
			t.copy(s, "when", m.Value, where)
		case "ScheduleExpressionTimezone":
			t.copy(s, "zone", m.Value, where)
		case "StartDate":
			t.copy(s, "start", m.Value, where)
		case "EndDate":
			t.copy(s, "end", m.Value, where)
		case "State", "Enabled":
			if m.Value.Text == "DISABLED" || m.Value.Text == "false" {
				set(s, "state", text(m.Value.At, "disabled"))
			}
		case "FlexibleTimeWindow":
			if mode, _ := m.Value.Get("Mode"); mode.Text == "FLEXIBLE" {
				t.note(Ignored, typ, m.KeyAt, where, "the moment itself is in the window")
			}
		case "DeadLetterConfig", "RetryPolicy":
			t.note(NotServed, typ, m.KeyAt, where, "retries are those of the function's asynchronous events; what failed stays for casemate async")
		case "KmsKeyArn":
			t.bad(m.KeyAt, where, "leave it out", "the key cannot be used here")
		case "Name", "Description", "GroupName", "OmitName", "RoleArn", "PermissionsBoundary", "Input", "Target", "Targets", "Tags", "EventBusName":
		default:
			t.bad(m.KeyAt, where, "", "there is no such property")
		}
	}
	for _, m := range target.Members {
		where := path + "/" + m.Key
		switch m.Key {
		case "Input":
			t.copy(s, "input", m.Value, where)
		case "InputPath", "InputTransformer":
			t.bad(m.KeyAt, where, "Input: the JSON that the function gets", "the function would get another event than it expects")
		}
	}
	if _, ok := s.Get("when"); !ok {
		t.bad(at, path, "ScheduleExpression: rate(5 minutes)", "the schedule has no expression")
		return
	}
	t.put("schedules", scheduleName(name), *s)
}

// copy takes a text as it is.
func (t *translator) copy(to *template.Value, key string, v template.Value, path string) {
	if t.wants(v, path, template.String) {
		set(to, key, text(v.At, v.Text))
	}
}

// scheduleName is at most 64 characters of those that a schedule may have in its name.
func scheduleName(name string) string {
	if len(name) <= 64 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:55] + "-" + hex.EncodeToString(sum[:4])
}

// scheduleResource translates AWS::Scheduler::Schedule.
func (t *translator) scheduleResource(r *template.Resource) {
	target, _ := r.Properties.Get("Target")
	arn, _ := target.Get("Arn")
	f := t.functionOf(arn)
	if f == nil {
		t.note(NotServed, r.Type, r.At, "Resources/"+r.ID, "its target is no function of this template: nothing is called")
		return
	}
	t.timed(f, r.Type, r.ID, r.Properties, target, r.At, "Resources/"+r.ID+"/Properties")
	t.note(Honoured, r.Type, r.At, "Resources/"+r.ID, "schedule of %s", f.name)
}

// rule translates AWS::Events::Rule: schedules are served, patterns are not yet.
func (t *translator) rule(r *template.Resource) {
	path := "Resources/" + r.ID
	if _, ok := r.Properties.Get("ScheduleExpression"); !ok {
		t.note(NotServed, r.Type, r.At, path, "no event of a pattern calls anything")
		return
	}
	if _, ok := r.Properties.Get("EventPattern"); ok {
		t.note(NotServed, r.Type, r.At, path+"/Properties/EventPattern", "no event of a pattern calls anything; its schedule does")
	}
	rest := template.Value{Kind: template.Map, At: r.Properties.At}
	for _, m := range r.Properties.Members {
		if m.Key != "EventPattern" {
			rest.Members = append(rest.Members, m)
		}
	}
	targets, _ := r.Properties.Get("Targets")
	for i, target := range targets.List {
		arn, _ := target.Get("Arn")
		f := t.functionOf(arn)
		if f == nil {
			t.note(NotServed, r.Type, target.At, indexed(path+"/Properties/Targets", i), "the target is no function of this template: nothing is called")
			continue
		}
		t.timed(f, r.Type, strings.TrimSuffix(r.ID+"-"+unit(i, ""), "-0"), rest, target, r.At, path+"/Properties")
		t.note(Honoured, r.Type, r.At, path, "schedule of %s", f.name)
	}
}
