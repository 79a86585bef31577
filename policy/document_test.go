package policy_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"casemate"
	"casemate/policy"
)

func TestParse(t *testing.T) {
	doc := `{"Version": "2012-10-17", "Id": "x", "Statement": [
		{"Sid": "A", "Effect": "Allow", "Action": "s3:*", "Resource": ["*", "arn:aws:s3:::b/${jwt:sub}/*"],
		 "Condition": {"Bool": {"aws:SecureTransport": true}, "NumericLessThan": {"s3:max-keys": [10, "20"]}}},
		{"Effect": "Deny", "NotAction": ["sqs:*"], "NotResource": "*"}]}`
	got, err := policy.Parse([]byte(doc), "casemate.yaml:3")
	want := []casemate.Statement{
		{Sid: "A", Effect: casemate.Allow, Action: []string{"s3:*"}, Resource: []string{"*", "arn:aws:s3:::b/${jwt:sub}/*"},
			Condition: map[string]map[string][]string{"Bool": {"aws:SecureTransport": {"true"}}, "NumericLessThan": {"s3:max-keys": {"10", "20"}}},
			Origin:    "casemate.yaml:3"},
		{Effect: casemate.Deny, NotAction: []string{"sqs:*"}, NotResource: []string{"*"}, Origin: "casemate.yaml:3"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v", got, err)
	}
	got, err = policy.ParseResource([]byte(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"a:b","Resource":"*"}}`), "")
	if err != nil || !reflect.DeepEqual(got[0].Principal, map[string][]string{"*": {"*"}}) {
		t.Fatalf("got %+v, %v", got, err)
	}
	got, err = policy.ParseResource([]byte(`{"Version":"2008-10-17","Statement":[{"Effect":"Deny","NotPrincipal":{"AWS":["000000000000",
		"arn:aws:iam::000000000000:role/x"],"Service":"s3.amazonaws.com"},"Action":"a:b","Resource":"*"}]}`), "")
	if err != nil || len(got[0].NotPrincipal["AWS"]) != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
}

const good = `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`

// Each mistake is refused, and the error names the field.
func TestParseRefuses(t *testing.T) {
	in := func(statement string) string { return `{"Statement":[` + statement + `]}` }
	for _, c := range []struct{ doc, field string }{
		{``, ""}, {`null`, ""}, {`[]`, ""}, {`"x"`, ""}, {`{`, ""}, {`{}`, "Statement"}, {`{"Statement":[]}`, "Statement"}, {in(good) + `{}`, ""},
		{in(good) + `x`, ""}, {`{"Statement":[` + good + `}`, "Statement[1]"}, {"\xff", ""}, {`{"Statement":null}`, "Statement"}, {`{"Statement":7}`, "Statement"},
		{`{"Version":"2012-10-18","Statement":` + good + `}`, "Version"}, {`{"Version":2012,"Statement":` + good + `}`, "Version"},
		{`{"Id":1,"Statement":` + good + `}`, "Id"}, {`{"version":"2012-10-17","Statement":` + good + `}`, "version"},
		{`{"Statement":` + good + `,"Statement":` + good + `}`, "Statement"}, {`{"Statement":[[` + good + `]]}`, "Statement[0]"},
		{in(`{}`), "Statement[0].Effect"}, {in(good + `,{"Effect":"allow","Action":"a:b","Resource":"*"}`), "Statement[1].Effect"},
		{in(`{"Effect":"Allow","Effect":"Deny","Action":"a:b","Resource":"*"}`), "Statement[0].Effect"},
		{in(`{"Effect":["Allow"],"Action":"a:b","Resource":"*"}`), "Statement[0].Effect"},
		{in(`{"Effect":"Allow","Resource":"*"}`), "Statement[0].Action"}, {in(`{"Effect":"Allow","Action":"a:b"}`), "Statement[0].Resource"},
		{in(`{"Effect":"Allow","Action":"a:b","NotAction":"a:c","Resource":"*"}`), "Statement[0].NotAction"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"*","NotResource":"*"}`), "Statement[0].NotResource"},
		{in(`{"Effect":"Allow","Action":[],"Resource":"*"}`), "Statement[0].Action"},
		{in(`{"Effect":"Allow","Action":["a:b",7],"Resource":"*"}`), "Statement[0].Action[1]"},
		{in(`{"Effect":"Allow","Action":["a:b",["c:d"]],"Resource":"*"}`), "Statement[0].Action[1]"},
		{in(`{"Effect":"Allow","Action":{"a":"b"},"Resource":"*"}`), "Statement[0].Action"},
		{in(`{"Effect":"Allow","Action":"GetObject","Resource":"*"}`), "Statement[0].Action[0]"},
		{in(`{"Effect":"Allow","Action":"s3:","Resource":"*"}`), "Statement[0].Action[0]"},
		{in(`{"Effect":"Allow","Action":"s3:Get:x","Resource":"*"}`), "Statement[0].Action[0]"},
		{in(`{"Effect":"Allow","Action":"s3:${jwt:sub}","Resource":"*"}`), "Statement[0].Action[0]"},
		{in(`{"Effect":"Allow","Action":"\u212Ams:Decrypt","Resource":"*"}`), "Statement[0].Action[0]"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":""}`), "Statement[0].Resource[0]"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"photos/*"}`), "Statement[0].Resource[0]"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"arn:aws:s3"}`), "Statement[0].Resource[0]"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"*:*:*:*:*:*"}`), "Statement[0].Resource[0]"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"arn:aws:s3:::${jwt:sub"}`), "Statement[0].Resource[0]"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"arn:aws:s3:::${}"}`), "Statement[0].Resource[0]"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"arn:aws:s3:::${sub}"}`), "Statement[0].Resource[0]"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"arn:aws:s3:::${jwt:sub, x}"}`), "Statement[0].Resource[0]"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"arn:aws:s3:::${jwt:sub, 'x}"}`), "Statement[0].Resource[0]"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"arn:aws:s3:::` + strings.Repeat("x", 2048) + `"}`), "Statement[0].Resource[0]"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"*","Origin":"me"}`), "Statement[0].Origin"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"*","condition":{}}`), "Statement[0].condition"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"*","Principal":"*"}`), "Statement[0].Principal"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":[]}`), "Statement[0].Condition"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"StringEquals":{}}}`), "Statement[0].Condition.StringEquals"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"StringEquals":"x"}}`), "Statement[0].Condition.StringEquals"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"StringEquals":{"a:b":[]}}}`), "Statement[0].Condition.StringEquals.a:b"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"StringEquals":{"a:b":null}}}`), "Statement[0].Condition.StringEquals.a:b"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"StringEquals":{"a:b":{"c":"d"}}}}`), "Statement[0].Condition.StringEquals.a:b"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"StringEquals":{"a:b":"c","a:b":"d"}}}`), "Statement[0].Condition.StringEquals.a:b"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"StringEqual":{"a:b":"c"}}}`), "Statement[0].Condition.StringEqual.a:b"},
		{in(`{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"StringEquals":{"ab":"c"}}}`), "Statement[0].Condition.StringEquals.ab"},
		{in(`{"Sid":"A","Effect":"Allow","Action":"a:b","Resource":"*"},{"Sid":"A","Effect":"Allow","Action":"a:b","Resource":"*"}`), "Statement[1].Sid"},
		{in(`{"Sid":"A\u0007","Effect":"Allow","Action":"a:b","Resource":"*"}`), "Statement[0].Sid"},
		{`{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"a:b","Resource":"arn:aws:s3:::${jwt:sub}"}}`, "Version"},
		{strings.Repeat("[", 100_000), ""}, {in(strings.Repeat(`{"Condition":`, 1000)), "Statement[0].Condition.Condition.Condition"},
	} {
		refuses(t, policy.Parse, c.doc, c.field)
	}
	for _, c := range []struct{ principal, field string }{
		{`"x":1`, "x"}, {`"Effect":"Deny"`, "Principal"}, {`"Principal":"000000000000"`, "Principal"}, {`"Principal":{}`, "Principal"},
		{`"Principal":{"AWS":[]}`, "Principal.AWS"}, {`"Principal":{"AWS":7}`, "Principal.AWS"}, {`"Principal":{"AWS":"me"}`, "Principal.AWS[0]"},
		{`"Principal":{"AWS":"arn:aws:iam::000000000000:role/*"}`, "Principal.AWS[0]"}, {`"Principal":{"AWS":"arn:aws:s3:::b"}`, "Principal.AWS[0]"},
		{`"Principal":{"CanonicalUser":"x"}`, "Principal.CanonicalUser[0]"}, {`"Principal":{"Service":"*"}`, "Principal.Service[0]"},
		{`"Principal":{"AWS":"*"},"NotPrincipal":{"AWS":"*"}`, "NotPrincipal"}, {`"NotPrincipal":{"AWS":"*"}`, "NotPrincipal"},
	} {
		effect := `"Effect":"Allow",`
		if strings.Contains(c.principal, "Effect") {
			effect = ""
		}
		refuses(t, policy.ParseResource, in(`{`+effect+c.principal+`,"Action":"a:b","Resource":"*"}`), "Statement[0]."+c.field)
	}
	if _, err := policy.Parse([]byte(strings.Repeat(" ", 200_000)), ""); casemate.CodeOf(err) != casemate.TooLarge {
		t.Errorf("a huge document: %v", err)
	}
}

func refuses(t *testing.T, parse func([]byte, string) ([]casemate.Statement, error), doc, field string) {
	t.Helper()
	got, err := parse([]byte(doc), "here")
	var e *casemate.Error
	if got != nil || !errors.As(err, &e) || e.Code != casemate.Invalid || e.Field != field || e.Message == "" || e.Hint == "" {
		t.Errorf("%.120s: field %q wanted, got %v, %v", doc, field, got, err)
	}
}

func TestCompileNamesTheField(t *testing.T) {
	s := when(allow("s3:*", "*"), "StringEqualz", "a:b", "c")
	own := casemate.Policies{Resource: map[string][]casemate.Statement{"r": {by(allow("s3:*", "*"), "*", "*")}}}
	for _, p := range []casemate.Policies{roles("clerk", allow("s3:*", "*")), own} {
		if _, err := policy.Compile(p); err != nil {
			t.Errorf("a good statement is refused: %v", err)
		}
	}
	own.Resource["r"][0].Principal = nil
	for _, p := range []casemate.Policies{roles("clerk", by(allow("s3:*", "*"), "*", "*")), own} {
		if _, err := policy.Compile(p); err == nil {
			t.Error("a Principal is taken where it does not belong, or missed where it does")
		}
	}
	s.Origin = "file:7"
	p := roles("clerk", allow("s3:*", "*"), s)
	if _, err := policy.Compile(p); casemate.AsError(err).Field != "Identity[clerk][1].Condition.StringEqualz.a:b" || casemate.AsError(err).Rule != "file:7" {
		t.Errorf("Compile: %#v", err)
	}
	for _, p := range []casemate.Policies{
		{Boundary: map[string][]casemate.Statement{"r": {s}}}, {Guardrails: list(s)}, {Resource: map[string][]casemate.Statement{"r": {allow("*", "*")}}},
	} {
		if _, err := policy.Compile(p); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%+v compiles", p)
		}
	}
}

// Whatever Parse accepts compiles, and comes out the same when written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"Statement":` + good + `}`))
	f.Add([]byte(`{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Deny","NotAction":["*"],"NotResource":["arn:aws:s3:::${jwt:sub, 'x'}/*"],
		"Condition":{"ForAnyValue:StringLikeIfExists":{"a:b":["c*",1,true]},"Null":{"a:c":false}}}]}`))
	f.Add([]byte(`{"Statement":[{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2030-01-01"}}}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		statements, err := policy.Parse(doc, "")
		if err != nil {
			if c := casemate.CodeOf(err); c != casemate.Invalid && c != casemate.TooLarge || statements != nil {
				t.Fatalf("%v with %v", err, statements)
			}
			return
		}
		set, err := policy.Compile(roles("clerk", statements...))
		if err != nil {
			t.Fatal(err)
		}
		set.Decide(ask(clerk(), get, object))
		b, err := json.Marshal(map[string]any{"Statement": statements})
		if err != nil {
			t.Fatal(err)
		}
		again, err := policy.Parse(b, "")
		if err != nil || len(again) != len(statements) || dump(again) != dump(statements) {
			t.Fatalf("%v: %s became %s", err, dump(statements), dump(again))
		}
	})
}
