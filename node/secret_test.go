package node

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/authn"
	"casemate/policy"
	"casemate/secret"
	"casemate/secret/kek"
	"casemate/service/secrets"
	"casemate/service/ssm"
	"casemate/store"
)

// TestOperatorsKeepSecretsAndDoNotReadThem: of every operation there is, the ones that give a value out need a role that
// says so, and only those.
func TestOperatorsKeepSecretsAndDoNotReadThem(t *testing.T) {
	set := basePolicies()
	place := casemate.DefaultPlace
	grant, err := policy.Grant(place, "", "read secret/db", "test")
	if err != nil {
		t.Fatal(err)
	}
	other, err := policy.Grant(place, "", "read parameter/app/url", "test")
	if err != nil {
		t.Fatal(err)
	}
	set.Identity["reader"] = []casemate.Statement{grant, other}
	decider, err := policy.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	may := func(role, action, arn string) bool {
		p := &casemate.Principal{Kind: casemate.KindKey, ID: "key/x", ARN: "arn:aws:iam::000000000000:user/x", Account: place.Account, Role: role}
		return decider.Decide(&casemate.AccessRequest{Principal: p, Action: action, Resource: arn, Account: place.Account, Now: time.Now()}).Verdict == casemate.Allowed
	}
	n := &node{cfg: Config{Place: place}}
	reading := map[string]bool{"GetSecretValue": true, "BatchGetSecretValue": true, "GetParameter": true, "GetParameters": true, "GetParametersByPath": true, "GetParameterHistory": true}
	for _, o := range n.secretOperations() {
		for _, arn := range []string{secrets.ARN(place, "db"), ssm.ARN(place, "/app/url"), "*"} {
			if got := may(authn.RoleOperator, o.Action, arn); got == reading[o.Name] {
				t.Errorf("an operator, %s on %s: %t", o.Action, arn, got)
			}
		}
	}
	for name, want := range map[string]bool{"db": true, "db2": false, "db-abcdef": false, "db/x": false, "d": false} {
		if got := may("reader", "secretsmanager:GetSecretValue", secrets.ARN(place, name)); got != want {
			t.Errorf("the grant on db opens %s: %t", name, got)
		}
	}
	for name, want := range map[string]bool{"/app/url": true, "app/url": true, "/app/url2": false, "/app": false, "/app/url/x": false} {
		if got := may("reader", "ssm:GetParameter", ssm.ARN(place, name)); got != want {
			t.Errorf("the grant on /app/url opens %s: %t", name, got)
		}
	}
	if may("reader", "secretsmanager:PutSecretValue", secrets.ARN(place, "db")) || may("reader", "ssm:GetParameterHistory", ssm.ARN(place, "/app/url")) {
		t.Error("reading is more than reading")
	}
}

func TestReadingsOfARecord(t *testing.T) {
	const arn = "arn:x:secret:db-abcdef"
	effect := func(target string, v casemate.Verdict) casemate.Effect {
		return casemate.Effect{Kind: casemate.EffectSecret, Target: target, Verdict: v, Reason: "said"}
	}
	for what, c := range map[string]struct {
		record casemate.Record
		want   string
	}{
		"read":               {casemate.Record{Resource: arn, Effects: []casemate.Effect{effect(arn+"#v1", casemate.Allowed)}}, "allow said"},
		"refused":            {casemate.Record{Resource: arn, Outcome: casemate.Outcome{Code: casemate.Forbidden, Detail: "may not"}}, "deny may not"},
		"effects cut off":    {casemate.Record{Resource: arn, Outcome: casemate.Outcome{OK: true, Status: "answered"}}, "allow read"},
		"one of many":        {casemate.Record{Resource: "*", Effects: []casemate.Effect{effect("arn:y#v", casemate.Allowed), effect(arn, casemate.Denied)}}, "deny said"},
		"another's":          {casemate.Record{Resource: "arn:y", Effects: []casemate.Effect{effect("arn:y#v", casemate.Allowed)}}, ""},
		"one that is longer": {casemate.Record{Resource: arn + "z", Effects: []casemate.Effect{effect(arn+"z#v", casemate.Allowed)}}, ""},
	} {
		var got []string
		for _, r := range readingsOf(&c.record, arn) {
			got = append(got, r.Verdict.String()+" "+r.What)
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %q", what, got)
		}
	}
}

// TestPostureOfSecrets: what nobody reads, what is old, and a key beside what it opens.
func TestPostureOfSecrets(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	n := &node{cfg: Config{Place: casemate.DefaultPlace, Log: slog.New(slog.DiscardHandler)}}
	var err error
	n.secrets, err = secret.Open(t.Context(), secret.Config{Store: store.Memory(time.Now), Dir: t.TempDir(), Clock: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	defer n.secrets.Close()
	if fs := n.secretPosture(at); len(fs) != 0 {
		t.Errorf("without secrets: %+v", fs)
	}
	ops := map[string]casemate.Operation{}
	for _, o := range secrets.Operations(secrets.Config{Room: n.secrets, Place: n.cfg.Place, Clock: func() time.Time { return at }}) {
		ops[o.Name] = o
	}
	do := func(op, body string) {
		t.Helper()
		o := ops[op]
		if _, err := o.Run(context.Background(), &casemate.Launch{Payload: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	do("CreateSecret", `{"Name":"read","SecretString":"x"}`)
	do("CreateSecret", `{"Name":"unread","SecretString":"x"}`)
	do("GetSecretValue", `{"SecretId":"read"}`)
	find := func(fs []Finding, what, why string) bool {
		for _, f := range fs {
			if f.What == what && strings.Contains(f.Why, why) && f.Fix != "" {
				return true
			}
		}
		return false
	}
	key := "key-encryption key " + n.secrets.Status(n.cfg.Place.Account).Master
	if fs := n.secretPosture(at); len(fs) != 1 || !find(fs, key, "beside what it opens") {
		t.Errorf("on the first day: %+v", fs)
	}
	if fs := n.secretPosture(at.AddDate(0, 0, 31)); len(fs) != 2 || !find(fs, "secret unread", "nobody ever read it") {
		t.Errorf("after a month: %+v", fs)
	}
	fs := n.secretPosture(at.AddDate(1, 0, 2))
	if !find(fs, "secret read", "nobody read it since 2026-01-01") || !find(fs, "secret read", "its value is 367 days old") || !find(fs, "data key "+n.secrets.Status(n.cfg.Place.Account).Data, "in use since 2026-01-01") {
		t.Errorf("after a year: %+v", fs)
	}
	path := t.TempDir() + "/kek.json"
	if _, err := kek.Generate(path); err != nil {
		t.Fatal(err)
	}
	if _, err := n.secrets.RotateMaster(t.Context(), "file:"+path); err != nil {
		t.Fatal(err)
	}
	if fs := n.secretPosture(at); len(fs) != 0 {
		t.Errorf("with the key elsewhere: %+v", fs)
	}
}
