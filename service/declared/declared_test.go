package declared

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/secret"
	"casemate/service/secrets"
	"casemate/service/ssm"
	"casemate/store"
)

func desk(t *testing.T) *Desk {
	t.Helper()
	room, err := secret.Open(context.Background(), secret.Config{Store: store.Memory(time.Now), Dir: t.TempDir(), Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = room.Close() })
	judge := func(*casemate.Launch, string, string) casemate.Decision {
		return casemate.Decision{Verdict: casemate.Allowed}
	}
	return &Desk{Room: room, Place: casemate.DefaultPlace, Operations: append(
		secrets.Operations(secrets.Config{Room: room, Place: casemate.DefaultPlace, Clock: time.Now, Judge: judge}),
		ssm.Operations(ssm.Config{Room: room, Place: casemate.DefaultPlace, Clock: time.Now, Judge: judge})...)}
}

var launch = &casemate.Launch{Event: &casemate.Event{}, Principal: &casemate.Principal{ARN: "arn:aws:iam::000000000000:user/uid/0"}}

// read asks an operation as a client does.
func (d *Desk) read(t *testing.T, id, body string) string {
	t.Helper()
	answer, err := d.ask(t.Context(), launch, id, []byte(body))
	if err != nil {
		return casemate.AsError(err).AWS
	}
	text, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// declare does it, and says what Look said before.
func (d *Desk) declare(t *testing.T, x Thing) string {
	t.Helper()
	what, err := d.Look(t.Context(), &x)
	if err == nil {
		err = d.Declare(t.Context(), launch, &x)
	}
	if err != nil {
		t.Fatal(err)
	}
	return what
}

func TestDeclaredValues(t *testing.T) {
	d := desk(t)
	const get, param = "secretsmanager.GetSecretValue", "ssm.GetParameter"
	db := Thing{App: "shop", Secret: true, Name: "shop/DB", Description: "of orders", Password: json.RawMessage(`{"PasswordLength":20,"ExcludePunctuation":true}`), Template: `{"username":"admin"}`, Key: "password"}
	if what := d.declare(t, db); what != Make {
		t.Errorf("a new secret: %q", what)
	}
	first := d.read(t, get, `{"SecretId":"shop/DB"}`)
	if !strings.Contains(first, `\"username\":\"admin\"`) || !strings.Contains(first, `\"password\":\"`) {
		t.Errorf("the secret holds %s", first)
	}
	if what := d.declare(t, db); what != Stays || d.read(t, get, `{"SecretId":"shop/DB"}`) != first {
		t.Errorf("the same declaration draws another value: %q", what)
	}
	if d.read(t, "secretsmanager.PutSecretValue", `{"SecretId":"shop/DB","SecretString":"rotated"}`); d.declare(t, db) != Stays || !strings.Contains(d.read(t, get, `{"SecretId":"shop/DB"}`), "rotated") {
		t.Error("a deploy undoes a rotation")
	}
	stage := Thing{App: "shop", Name: "/shop/Stage", Type: "String", Value: "dev"}
	if what := d.declare(t, stage); what != Make || !strings.Contains(d.read(t, param, `{"Name":"/shop/Stage"}`), `"Value":"dev"`) {
		t.Errorf("a new parameter: %q", what)
	}
	stage.Value = "prod"
	if what := d.declare(t, stage); what != Change || !strings.Contains(d.read(t, param, `{"Name":"/shop/Stage"}`), `"Value":"prod"`) {
		t.Errorf("a changed parameter: %q", what)
	}
	key := Thing{App: "shop", Secret: true, Name: "shop/Key", Value: "one"}
	d.declare(t, key)
	key.Value = "two"
	if what := d.declare(t, key); what != Change || !strings.Contains(d.read(t, get, `{"SecretId":"shop/Key"}`), `"SecretString":"two"`) {
		t.Errorf("a changed secret: %q", what)
	}
	for _, id := range []string{"secretsmanager.DescribeSecret", "secretsmanager.ListSecretVersionIds"} {
		if s := d.read(t, id, `{"SecretId":"shop/Key"}`); strings.Contains(s, "declared") || strings.Contains(s, key.mark()[5:20]) {
			t.Errorf("%s shows the digest: %s", id, s)
		}
	}
}

// A stack changes nothing that another stack or a person made under the name that it declares.
func TestWhatOthersMadeStays(t *testing.T) {
	d := desk(t)
	d.read(t, "secretsmanager.CreateSecret", `{"Name":"shop/DB","SecretString":"by hand"}`)
	d.declare(t, Thing{App: "bank", Name: "/rate", Type: "String", Value: "3"})
	for _, x := range []Thing{{App: "shop", Secret: true, Name: "shop/DB", Value: "mine"}, {App: "shop", Name: "/rate", Type: "String", Value: "4"}, {App: "ban", Name: "rate", Type: "String", Value: "4"}} {
		if what := d.declare(t, x); what != Theirs {
			t.Errorf("%s of %s: %q", x.Name, x.App, what)
		}
	}
	if s := d.read(t, "secretsmanager.GetSecretValue", `{"SecretId":"shop/DB"}`); !strings.Contains(s, "by hand") {
		t.Error(s)
	}
	d.read(t, "secretsmanager.DeleteSecret", `{"SecretId":"shop/DB"}`)
	if _, err := d.Look(t.Context(), &Thing{App: "shop", Secret: true, Name: "shop/DB", Value: "mine"}); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("a secret on its way out: %v", err)
	}
}
