package sts

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate"
)

// desk issues sessions and keeps what was asked for.
type desk struct{ asked casemate.SessionRequest }

func (d *desk) Assume(_ context.Context, q casemate.SessionRequest) (casemate.SessionKey, error) {
	d.asked = q
	return casemate.SessionKey{ID: "ASIA1", Secret: "s", Token: "t", Expires: time.Unix(0, 0).Add(q.Life),
		Principal: casemate.Principal{ID: "session/" + q.Role, ARN: "arn:session"}}, nil
}

func config(d *desk) Config {
	return Config{Place: casemate.DefaultPlace, Sessions: d, Scope: func(doc string) ([]casemate.Statement, error) {
		if !strings.Contains(doc, "Statement") {
			return nil, casemate.Errorf(casemate.Invalid, "", "no policy")
		}
		return []casemate.Statement{{Sid: "scope"}}, nil
	}}
}

func user() *casemate.Principal {
	return &casemate.Principal{Kind: casemate.KindAccess, ID: "user/ada"}
}

func body(t testing.TB, change map[string]string) []byte {
	t.Helper()
	members := map[string]string{"RoleArn": "arn:aws:iam::000000000000:role/reader", "RoleSessionName": "build"}
	maps.Copy(members, change)
	maps.DeleteFunc(members, func(_, v string) bool { return v == "-" })
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAssume(t *testing.T) {
	d := &desk{}
	o := Operations(config(d))[0]
	in := body(t, map[string]string{"DurationSeconds": "900", "Policy": `{"Statement":[]}`, "Tags.member.1.Key": "team", "Tags.member.1.Value": "blue", "TransitiveTagKeys.member.1": "team",
		"ExternalId": "e1", "SourceIdentity": "ada"})
	if arn, err := o.Resource(casemate.DefaultPlace, in); arn != "arn:aws:iam::000000000000:role/reader" || err != nil {
		t.Fatal(arn, err)
	}
	context := o.Context(in)
	for key, want := range map[string]string{"sts:rolesessionname": "build", "sts:externalid": "e1", "sts:sourceidentity": "ada", "aws:requesttag/team": "blue", "aws:tagkeys": "team", "sts:transitivetagkeys": "team", "sts:durationseconds": "900"} {
		if !slices.Equal(context[key], []string{want}) {
			t.Errorf("%s is %q", key, context[key])
		}
	}
	if asked := Asked(context); !slices.Equal(asked, []string{actionTag, actionSource}) {
		t.Errorf("%q", asked)
	}
	answer, err := o.Run(t.Context(), &casemate.Launch{Principal: user(), Payload: in, Event: &casemate.Event{Source: casemate.SourceAWS}})
	if err != nil {
		t.Fatal(err)
	}
	if q := d.asked; q.Role != "reader" || q.Name != "build" || q.Life != 15*time.Minute || len(q.Scope) != 1 || q.Tags["team"] != "blue" || q.SourceIdentity != "ada" || q.Run != "" || q.Sandbox != "" {
		t.Errorf("%+v", q)
	}
	text, err := json.Marshal(answer)
	if want := `{"Credentials":{"AccessKeyId":"ASIA1","SecretAccessKey":"s","SessionToken":"t","Expiration":"1970-01-01T00:15:00Z"},"AssumedRoleUser":{"AssumedRoleId":"session/reader","Arn":"arn:session"},"SourceIdentity":"ada"}`; string(text) != want || err != nil {
		t.Errorf("%s, %v", text, err)
	}
	noted := fmt.Sprint(answer.(casemate.Noted).Effects())
	if !strings.Contains(noted, "ASIA1") || strings.Contains(noted, "{s t ") {
		t.Errorf("the record says %s", noted)
	}
}

func TestBadRequests(t *testing.T) {
	tags := map[string]string{}
	for i := range 51 {
		tags[fmt.Sprintf("Tags.member.%d.Key", i+1)], tags[fmt.Sprintf("Tags.member.%d.Value", i+1)] = fmt.Sprintf("k%d", i), "v"
	}
	for name, change := range map[string]map[string]string{
		"no role": {"RoleArn": "-"}, "another account": {"RoleArn": "arn:aws:iam::111111111111:role/reader"}, "a path": {"RoleArn": "arn:aws:iam::000000000000:role/a/b"},
		"a function's role": {"RoleArn": "arn:aws:iam::000000000000:role/function/price"}, "a wildcard": {"RoleArn": "arn:aws:iam::000000000000:role/*"}, "no ARN": {"RoleArn": "reader"},
		"a user": {"RoleArn": "arn:aws:iam::000000000000:user/ada"}, "an empty role": {"RoleArn": "arn:aws:iam::000000000000:role/"},
		"no name": {"RoleSessionName": "-"}, "a short name": {"RoleSessionName": "a"}, "a name with a slash": {"RoleSessionName": "a/b"}, "a long name": {"RoleSessionName": strings.Repeat("a", 65)}, "a name with a line": {"RoleSessionName": "a\nb"},
		"too short": {"DurationSeconds": "899"}, "too long": {"DurationSeconds": "43201"}, "a word": {"DurationSeconds": "long"}, "an overflow": {"DurationSeconds": "99999999999999999999"}, "negative": {"DurationSeconds": "-900"},
		"a bad policy": {"Policy": "{}"}, "an empty policy": {"Policy": ""}, "a long policy": {"Policy": `{"Statement":` + strings.Repeat(" ", maxPolicy)}, "managed policies": {"PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/AdministratorAccess"},
		"a second factor": {"SerialNumber": "x", "TokenCode": "1"}, "an unknown member": {"Force": "true"}, "a key without a value": {"Tags.member.1.Key": "a"}, "a value without a key": {"Tags.member.1.Value": "a"},
		"two cases of one tag": {"Tags.member.1.Key": "a", "Tags.member.1.Value": "1", "Tags.member.2.Key": "A", "Tags.member.2.Value": "2"}, "a tag of AWS": {"Tags.member.1.Key": "aws:x", "Tags.member.1.Value": "1"},
		"crossed numbers": {"Tags.member.1.Key": "a", "Tags.member.2.Value": "1"}, "number zero": {"Tags.member.0.Key": "a", "Tags.member.0.Value": "1"}, "an odd number": {"Tags.member.01.Key": "a", "Tags.member.01.Value": "1"},
		"too many tags": tags, "a long key": {"Tags.member.1.Key": strings.Repeat("a", 129), "Tags.member.1.Value": "1"}, "a long value": {"Tags.member.1.Key": "a", "Tags.member.1.Value": strings.Repeat("a", 257)},
		"transitive, and no tag": {"TransitiveTagKeys.member.1": "a"}, "a bad external id": {"ExternalId": "a b"}, "a long external id": {"ExternalId": strings.Repeat("a", 1225)}, "a bad source": {"SourceIdentity": "a b"},
	} {
		d := &desk{}
		for _, o := range Operations(config(d))[:2] {
			in := body(t, change)
			if _, err := o.Resource(casemate.DefaultPlace, in); casemate.CodeOf(err) != casemate.Invalid || err == nil || casemate.AsError(err).AWS == "" {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := o.Run(t.Context(), &casemate.Launch{Principal: user(), Payload: in, Event: &casemate.Event{}}); err == nil || d.asked.Role != "" {
				t.Errorf("%s: a session", name)
			}
			if len(o.Context(in)) != 0 {
				t.Errorf("%s has condition keys", name)
			}
		}
	}
	for _, raw := range []string{"", "[]", `{"RoleArn":1}`, "{"} {
		if _, err := Operations(config(&desk{}))[0].Resource(casemate.DefaultPlace, []byte(raw)); err == nil {
			t.Errorf("%q is taken", raw)
		}
	}
}

// TestWhoAssumes: each operation has its own kind of caller, and what a session came from sticks to it.
func TestWhoAssumes(t *testing.T) {
	session := func() *casemate.Principal {
		return &casemate.Principal{Kind: casemate.KindSession, ID: "session/a", Tags: map[string]string{"team": "blue", "own": "x"}, Transitive: []string{"team"}, SourceIdentity: "ada"}
	}
	token := &casemate.Principal{Kind: casemate.KindToken, ID: "jwt/x", Claims: map[string]string{"sub": "repo:a", "iss": "https://ci.example", "aud": "casemate"}}
	event := func() *casemate.Event { return &casemate.Event{Source: casemate.SourceAWS} }
	run := &casemate.Event{Source: casemate.SourceRun, Parent: "r1", Credential: casemate.Credential{Signed: &casemate.Signed{Sandbox: "box"}}}
	for name, c := range map[string]struct {
		operation int
		by        *casemate.Principal
		change    map[string]string
		event     *casemate.Event
		ok        bool
		want      func(q *casemate.SessionRequest) bool
	}{
		"a user":                        {0, user(), nil, event(), true, func(q *casemate.SessionRequest) bool { return q.Tags == nil && q.Life == time.Hour }},
		"a user by token":               {1, user(), nil, event(), false, nil},
		"a token":                       {1, token, nil, event(), true, nil},
		"a token without the operation": {0, token, nil, event(), false, nil},
		"a session": {0, session(), nil, event(), true, func(q *casemate.SessionRequest) bool {
			return q.Tags["team"] == "blue" && q.Tags["own"] == "" && q.SourceIdentity == "ada" && slices.Contains(q.Transitive, "team")
		}},
		"another source identity": {0, session(), map[string]string{"SourceIdentity": "eve"}, event(), false, nil},
		"another transitive tag":  {0, session(), map[string]string{"Tags.member.1.Key": "Team", "Tags.member.1.Value": "red"}, event(), false, nil},
		"a run":                   {0, &casemate.Principal{Kind: casemate.KindRun, ID: "function/f"}, nil, run, true, func(q *casemate.SessionRequest) bool { return q.Run == "r1" && q.Sandbox == "box" }},
		"before the first run":    {0, &casemate.Principal{Kind: casemate.KindRun, ID: "function/f"}, nil, &casemate.Event{Source: casemate.SourceRun, Credential: run.Credential}, false, nil},
	} {
		d := &desk{}
		o := Operations(config(d))[c.operation]
		_, err := o.Run(t.Context(), &casemate.Launch{Principal: c.by, Payload: body(t, c.change), Event: c.event})
		if (err == nil) != c.ok || c.want != nil && !c.want(&d.asked) || !c.ok && d.asked.Role != "" {
			t.Errorf("%s: %v, %+v", name, err, d.asked)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"RoleArn":"arn:aws:iam::000000000000:role/reader","RoleSessionName":"build","Tags.member.1.Key":"a","Tags.member.1.Value":"b"}`))
	f.Add([]byte(`{"RoleArn":"","Tags.member..Key":"","a.member.1":""}`))
	c := config(&desk{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		in, err := c.read(casemate.DefaultPlace, raw)
		if err == nil && (in.life < casemate.MinSession || in.life > casemate.MaxSession || len(in.tags) > maxTags || !roleForm.MatchString(in.role) || !nameForm.MatchString(in.name)) {
			t.Fatalf("%+v", in)
		}
	})
}
