package secrets

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
	"casemate/secret"
	"casemate/store"
)

// bench is the service on a room of its own, with a clock that tests move.
type bench struct {
	ops   map[string]casemate.Operation
	store store.Store
	room  *secret.Room
	mu    sync.Mutex
	at    time.Time
	deny  map[string]bool // ARNs that the judge refuses
}

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{ops: map[string]casemate.Operation{}, store: store.Memory(time.Now), at: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), deny: map[string]bool{}}
	var err error
	if b.room, err = secret.Open(context.Background(), secret.Config{Store: b.store, Dir: t.TempDir(), Clock: b.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.room.Close() })
	judge := func(_ *casemate.Launch, action, arn string) casemate.Decision {
		if b.deny[arn] || action != "secretsmanager:GetSecretValue" && (action != "secretsmanager:ListSecrets" || arn != "*") {
			return casemate.Decision{Hint: "read secret/x"}
		}
		return casemate.Decision{Verdict: casemate.Allowed}
	}
	for _, o := range Operations(Config{Room: b.room, Place: casemate.DefaultPlace, Clock: b.now, Judge: judge}) {
		b.ops[o.Name] = o
	}
	return b
}

// ask runs an operation and gives its answer, or "Code: message".
func (b *bench) ask(t testing.TB, op, body string) (string, casemate.Noted) {
	t.Helper()
	o, ok := b.ops[op]
	if !ok {
		t.Fatalf("there is no %s", op)
	}
	said := func(err error) string {
		e := casemate.AsError(err)
		if e.AWS == "" {
			t.Errorf("%s %s: an error without a code of the service: %v", op, body, err)
		}
		return e.AWS + ": " + e.Message
	}
	if _, err := o.Resource(casemate.DefaultPlace, []byte(body)); err != nil {
		return said(err), nil
	}
	answer, err := o.Run(context.Background(), &casemate.Launch{Payload: []byte(body)})
	if err != nil {
		return said(err), nil
	}
	noted, _ := answer.(casemate.Noted)
	text, err := json.Marshal(answer)
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	return string(text), noted
}

// token is the n-th request token.
func token(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }

// step is one request and what must, and must not, stand in its answer. $n is token n.
type step struct{ op, body, want, not string }

func tokens(s string) string {
	for n := range 10 {
		s = strings.ReplaceAll(s, fmt.Sprintf("$%d", n), token(n))
	}
	return s
}

func (b *bench) steps(t *testing.T, steps []step) {
	t.Helper()
	for i, s := range steps {
		got, _ := b.ask(t, s.op, tokens(s.body))
		if want := tokens(s.want); !strings.Contains(got, want) || s.not != "" && strings.Contains(got, tokens(s.not)) {
			t.Fatalf("step %d, %s %s\n got %s\nwant %s\n not %s", i, s.op, s.body, got, want, s.not)
		}
	}
}

func TestVersionsAndStages(t *testing.T) {
	newBench(t).steps(t, []step{
		{"GetSecretValue", `{"SecretId":"db"}`, "ResourceNotFoundException: Secrets Manager can't find the specified secret.", ""},
		{"CreateSecret", `{"Name":"db","ClientRequestToken":"$1","SecretString":"one","Description":"d","Tags":[{"Key":"team","Value":"x"}]}`, `"VersionId":"$1"`, "one"},
		{"CreateSecret", `{"Name":"db","ClientRequestToken":"$1","SecretString":"one"}`, `"VersionId":"$1"`, ""}, // a retry
		{"CreateSecret", `{"Name":"db","ClientRequestToken":"$1","SecretString":"two"}`, "ResourceExistsException: ", "two"},
		{"CreateSecret", `{"Name":"db","ClientRequestToken":"$2","SecretString":"one"}`, "ResourceExistsException: ", ""},
		{"GetSecretValue", `{"SecretId":"db"}`, `"SecretString":"one"`, ""},
		{"GetSecretValue", `{"SecretId":"` + ARN(casemate.DefaultPlace, "db") + `"}`, `"SecretString":"one"`, ""},
		{"GetSecretValue", `{"SecretId":"arn:aws:secretsmanager:us-east-1:000000000000:secret:db"}`, `"VersionStages":["AWSCURRENT"]`, ""},
		{"GetSecretValue", `{"SecretId":"arn:aws:secretsmanager:eu-west-1:000000000000:secret:db"}`, "ResourceNotFoundException", ""},
		{"PutSecretValue", `{"SecretId":"db","ClientRequestToken":"$2","SecretString":"two"}`, `"VersionStages":["AWSCURRENT"]`, ""},
		{"PutSecretValue", `{"SecretId":"db","ClientRequestToken":"$2","SecretString":"two"}`, `"VersionId":"$2"`, ""},
		{"PutSecretValue", `{"SecretId":"db","ClientRequestToken":"$2","SecretString":"else"}`, "ResourceExistsException", "else"},
		{"GetSecretValue", `{"SecretId":"db","VersionStage":"AWSPREVIOUS"}`, `"SecretString":"one"`, ""},
		{"GetSecretValue", `{"SecretId":"db","VersionId":"$1"}`, `"SecretString":"one"`, ""},
		{"GetSecretValue", `{"SecretId":"db","VersionId":"$1","VersionStage":"AWSCURRENT"}`, "InvalidRequestException", "one"},
		{"GetSecretValue", `{"SecretId":"db","VersionId":"$9"}`, "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: $9", ""},
		{"PutSecretValue", `{"SecretId":"db","ClientRequestToken":"$3","SecretBinary":"AAEC/w==","VersionStages":["AWSPENDING","blue"]}`, `["AWSPENDING","blue"]`, ""},
		{"GetSecretValue", `{"SecretId":"db"}`, `"SecretString":"two"`, ""},
		{"GetSecretValue", `{"SecretId":"db","VersionStage":"blue"}`, `"SecretBinary":"AAEC/w=="`, "SecretString"},
		{"UpdateSecretVersionStage", `{"SecretId":"db","VersionStage":"AWSCURRENT","MoveToVersionId":"$3"}`, "InvalidParameterException: The staging label AWSCURRENT is currently attached to version $2", ""},
		{"UpdateSecretVersionStage", `{"SecretId":"db","VersionStage":"AWSCURRENT","RemoveFromVersionId":"$1","MoveToVersionId":"$3"}`, "isn't attached to version $1", ""},
		{"UpdateSecretVersionStage", `{"SecretId":"db","VersionStage":"AWSCURRENT","RemoveFromVersionId":"$2"}`, "It can't be completely removed", ""},
		{"UpdateSecretVersionStage", `{"SecretId":"db","VersionStage":"AWSCURRENT","RemoveFromVersionId":"$2","MoveToVersionId":"$3"}`, `"Name":"db"`, ""},
		{"UpdateSecretVersionStage", `{"SecretId":"db","VersionStage":"blue","RemoveFromVersionId":"$3"}`, `"Name":"db"`, ""},
		{"DescribeSecret", `{"SecretId":"db"}`, `"$2":["AWSPREVIOUS"],"$3":["AWSPENDING","AWSCURRENT"]`, "$1"},
		{"DescribeSecret", `{"SecretId":"db"}`, `"Tags":[{"Key":"team","Value":"x"}]`, "SecretString"},
		{"ListSecretVersionIds", `{"SecretId":"db"}`, `"VersionId":"$3"`, "$1"},
		{"ListSecretVersionIds", `{"SecretId":"db","IncludeDeprecated":true}`, `"VersionId":"$1"`, ""},
		{"UpdateSecret", `{"SecretId":"db","Description":"other"}`, `"Name":"db"`, "VersionId"},
		{"UpdateSecret", `{"SecretId":"db","ClientRequestToken":"$4","SecretString":"four"}`, `"VersionId":"$4"`, ""},
		{"GetSecretValue", `{"SecretId":"db"}`, `"SecretString":"four"`, ""},
		{"DescribeSecret", `{"SecretId":"db"}`, `"Description":"other"`, ""},
		{"CreateSecret", `{"Name":"empty"}`, `"Name":"empty"`, "VersionId"},
		{"GetSecretValue", `{"SecretId":"empty"}`, "for staging label: AWSCURRENT", ""},
		{"PutSecretValue", `{"SecretId":"empty","ClientRequestToken":"$5","SecretString":"x","VersionStages":["mine"]}`, `["AWSCURRENT","mine"]`, ""}, // the first is always current
		{"RotateSecret", `{"SecretId":"db"}`, "InvalidRequestException: No Lambda rotation function", ""},
		{"RotateSecret", `{"SecretId":"db","RotationLambdaARN":"arn:x","RotationRules":{"AutomaticallyAfterDays":1}}`, "InvalidRequestException: Rotation by a function is not supported", ""},
		{"TagResource", `{"SecretId":"db","Tags":[{"Key":"a","Value":"b"}]}`, "null", ""},
		{"UntagResource", `{"SecretId":"db","TagKeys":["team"]}`, "null", ""},
		{"DescribeSecret", `{"SecretId":"db"}`, `"Tags":[{"Key":"a","Value":"b"}]`, "team"},
	})
}

func TestDeletionAndRestore(t *testing.T) {
	b := newBench(t)
	b.steps(t, []step{
		{"CreateSecret", `{"Name":"db","ClientRequestToken":"$1","SecretString":"one"}`, "$1", ""},
		{"DeleteSecret", `{"SecretId":"db","RecoveryWindowInDays":6}`, "InvalidParameterException", ""},
		{"DeleteSecret", `{"SecretId":"db","RecoveryWindowInDays":7,"ForceDeleteWithoutRecovery":true}`, "InvalidParameterException", ""},
		{"DeleteSecret", `{"SecretId":"db","RecoveryWindowInDays":7}`, `"DeletionDate":1783512000`, ""},
		{"GetSecretValue", `{"SecretId":"db"}`, "InvalidRequestException: You can't perform this operation on the secret because it was marked for deletion.", ""},
		{"PutSecretValue", `{"SecretId":"db","ClientRequestToken":"$2","SecretString":"two"}`, "InvalidRequestException", ""},
		{"CreateSecret", `{"Name":"db","ClientRequestToken":"$2","SecretString":"two"}`, "InvalidRequestException: You can't create this secret because", ""},
		{"ListSecrets", `{}`, `"SecretList":[]`, ""},
		{"ListSecrets", `{"IncludePlannedDeletion":true}`, `"DeletedDate":`, ""},
		{"RestoreSecret", `{"SecretId":"db"}`, `"Name":"db"`, ""},
		{"GetSecretValue", `{"SecretId":"db"}`, `"one"`, ""},
		{"DeleteSecret", `{"SecretId":"db"}`, `"Name":"db"`, ""},
	})
	b.mu.Lock()
	b.at = b.at.AddDate(0, 0, 30)
	b.mu.Unlock()
	b.steps(t, []step{
		{"DescribeSecret", `{"SecretId":"db"}`, "ResourceNotFoundException", ""},
		{"RestoreSecret", `{"SecretId":"db"}`, "ResourceNotFoundException", ""},
		{"CreateSecret", `{"Name":"db","ClientRequestToken":"$3","SecretString":"three"}`, "$3", ""},
		{"ListSecretVersionIds", `{"SecretId":"db","IncludeDeprecated":true}`, "$3", "$1"},
		{"DeleteSecret", `{"SecretId":"db","ForceDeleteWithoutRecovery":true}`, `"Name":"db"`, ""},
		{"DeleteSecret", `{"SecretId":"db","ForceDeleteWithoutRecovery":true}`, `"Name":"db"`, ""},
		{"DeleteSecret", `{"SecretId":"db"}`, "ResourceNotFoundException", ""},
		{"CreateSecret", `{"Name":"db","ClientRequestToken":"$4","SecretString":"four"}`, "$4", ""},
	})
}

// TestRefusalsQuoteNoValue: every bad request has the service's code, and none shows what it was sent.
func TestRefusalsQuoteNoValue(t *testing.T) {
	b := newBench(t)
	b.steps(t, []step{{"CreateSecret", `{"Name":"db","SecretString":"x"}`, `"Name":"db"`, ""}})
	long := strings.Repeat("a", maxValue+1)
	for _, s := range []step{
		{"CreateSecret", `{"Name":"a b","SecretString":"canary"}`, "InvalidParameterException", ""},
		{"CreateSecret", `{"Name":"","SecretString":"canary"}`, "InvalidParameterException", ""},
		{"CreateSecret", `{"Name":"` + strings.Repeat("n", 513) + `"}`, "InvalidParameterException", ""},
		{"CreateSecret", `{"Name":"c","SecretString":"canary","SecretBinary":"Y2FuYXJ5"}`, "InvalidParameterException", ""},
		{"CreateSecret", `{"Name":"c","SecretString":["canary"]}`, "SerializationException", ""},
		{"CreateSecret", `{"Name":"c","SecretBinary":"canary!"}`, "SerializationException", ""},
		{"CreateSecret", `{"Name":"c","SecretString":"canary"`, "SerializationException", ""},
		{"CreateSecret", `{"Name":"c","SecretString":"canary"} canary`, "SerializationException", ""},
		{"CreateSecret", `{"Name":"c","canary":"canary"}`, "InvalidParameterException: the request has a member that is not known", ""},
		{"CreateSecret", `{"Name":"c","ClientRequestToken":"short","SecretString":"canary"}`, "InvalidParameterException", ""},
		{"CreateSecret", `{"Name":"c","KmsKeyId":"alias/mine","SecretString":"canary"}`, "InvalidParameterException: KmsKeyId is not supported", ""},
		{"CreateSecret", `{"Name":"c","AddReplicaRegions":[{"Region":"eu-west-1"}]}`, "InvalidParameterException: AddReplicaRegions is not supported", ""},
		{"CreateSecret", `{"Name":"c","Tags":[{"Key":"aws:x","Value":"y"}]}`, "InvalidParameterException", ""},
		{"CreateSecret", `{"Name":"c","SecretString":"` + long + `"}`, "InvalidParameterException: The value is longer", ""},
		{"PutSecretValue", `{"SecretId":"db","SecretString":"canary","VersionStages":[]}`, "InvalidParameterException", ""},
		{"PutSecretValue", `{"SecretId":"db","SecretString":"canary","VersionStages":[""]}`, "InvalidParameterException", ""},
		{"PutSecretValue", `{"SecretId":"db"}`, "InvalidParameterException", ""},
		{"PutSecretValue", `{"SecretId":"db","SecretString":""}`, "InvalidParameterException", ""},
		{"PutSecretValue", `{"SecretId":"none","SecretString":"canary"}`, "ResourceNotFoundException", ""},
		{"GetSecretValue", `{"SecretId":"arn:aws:ssm:us-east-1:000000000000:secret:db"}`, "ResourceNotFoundException", ""},
		{"GetSecretValue", ``, "SerializationException", ""},
		{"GetSecretValue", `[]`, "SerializationException", ""},
		{"ListSecrets", `{"MaxResults":101}`, "InvalidParameterException", ""},
		{"ListSecrets", `{"NextToken":"!"}`, "InvalidNextTokenException", ""},
		{"ListSecrets", `{"Filters":[{"Key":"owner","Values":["x"]}]}`, "InvalidParameterException", ""},
		{"UpdateSecretVersionStage", `{"SecretId":"db","VersionStage":"x"}`, "InvalidParameterException", ""},
		{"UpdateSecretVersionStage", `{"SecretId":"db","VersionStage":"x","MoveToVersionId":"nope"}`, "ResourceNotFoundException", ""},
		{"BatchGetSecretValue", `{}`, "InvalidParameterException", ""},
	} {
		got, _ := b.ask(t, s.op, s.body)
		if !strings.HasPrefix(got, s.want) || strings.Contains(got, "canary") {
			t.Errorf("%s %.80s: %s", s.op, s.body, got)
		}
	}
}

func TestLists(t *testing.T) {
	b := newBench(t)
	for i := range 7 {
		b.ask(t, "CreateSecret", fmt.Sprintf(`{"Name":"app/%d","Description":"The Number %d","Tags":[{"Key":"parity","Value":"%d"}]}`, i, i, i%2))
	}
	for filters, want := range map[string]string{
		`[]`: "0123456",
		`[{"Key":"name","Values":["app/3","app/5"]}]`:                            "35",
		`[{"Key":"name","Values":["!app/3"]}]`:                                   "012456",
		`[{"Key":"tag-value","Values":["1"]}]`:                                   "135",
		`[{"Key":"tag-value","Values":["1"]},{"Key":"name","Values":["app/1"]}]`: "1",
		`[{"Key":"description","Values":["number 2"]}]`:                          "2",
		`[{"Key":"all","Values":["app/6"]}]`:                                     "6",
		`[{"Key":"tag-key","Values":["Parity"]}]`:                                "",
	} {
		for _, order := range []string{"asc", "desc"} {
			got, next := "", ""
			for range 10 {
				text, _ := b.ask(t, "ListSecrets", fmt.Sprintf(`{"Filters":%s,"MaxResults":2,"SortOrder":%q,"NextToken":%q}`, filters, order, next))
				var page struct {
					SecretList []struct{ Name string }
					NextToken  string
				}
				if err := json.Unmarshal([]byte(text), &page); err != nil || len(page.SecretList) > 2 {
					t.Fatal(text, err)
				}
				for _, s := range page.SecretList {
					got += strings.TrimPrefix(s.Name, "app/")
				}
				if next = page.NextToken; next == "" {
					break
				}
			}
			if order == "desc" {
				r := []byte(got)
				for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
					r[i], r[j] = r[j], r[i]
				}
				got = string(r)
			}
			if got != want {
				t.Errorf("%s %s: %q, want %q", filters, order, got, want)
			}
		}
	}
}

// TestReadingIsNoted: the record gets ARN and version of every value that went out, what was refused, and no value.
func TestReadingIsNoted(t *testing.T) {
	b := newBench(t)
	b.steps(t, []step{
		{"CreateSecret", `{"Name":"a","ClientRequestToken":"$1","SecretString":"canary"}`, "$1", ""},
		{"CreateSecret", `{"Name":"b","ClientRequestToken":"$2","SecretString":"canary"}`, "$2", ""},
		{"CreateSecret", `{"Name":"c","ClientRequestToken":"$3","SecretString":"canary"}`, "$3", ""},
	})
	_, noted := b.ask(t, "GetSecretValue", `{"SecretId":"a"}`)
	if fx := noted.Effects(); len(fx) != 1 || fx[0].Target != ARN(casemate.DefaultPlace, "a")+"#"+token(1) || fx[0].Verdict != casemate.Allowed || strings.Contains(fmt.Sprint(fx), "canary") {
		t.Errorf("%+v", fx)
	}
	b.deny[ARN(casemate.DefaultPlace, "b")] = true
	text, noted := b.ask(t, "BatchGetSecretValue", `{"SecretIdList":["a","b","nowhere"]}`)
	if !strings.Contains(text, `"Errors":[{"SecretId":"b","ErrorCode":"AccessDeniedException"`) || !strings.Contains(text, `{"SecretId":"nowhere","ErrorCode":"ResourceNotFoundException"`) ||
		strings.Count(text, "canary") != 1 {
		t.Error(text)
	}
	fx := noted.Effects()
	if len(fx) != 2 || fx[0].Verdict != casemate.Denied || fx[0].Grant == "" || fx[1].Verdict != casemate.Allowed {
		t.Errorf("%+v", fx)
	}
	text, noted = b.ask(t, "BatchGetSecretValue", `{"Filters":[{"Key":"all","Values":["a","b","c"]}]}`)
	if fx := noted.Effects(); strings.Count(text, "canary") != 2 || len(fx) != 3 {
		t.Errorf("%s %+v", text, fx)
	}
	b.deny["*"] = true // whoever may not list learns no name by a filter
	if text, _ = b.ask(t, "BatchGetSecretValue", `{"Filters":[{"Key":"all","Values":["a","b","c"]}]}`); !strings.HasPrefix(text, "AccessDeniedException: ") {
		t.Error(text)
	}
}

func TestDamageIsSaid(t *testing.T) {
	b := newBench(t)
	b.steps(t, []step{{"CreateSecret", `{"Name":"a","ClientRequestToken":"$1","SecretString":"canary"}`, "$1", ""}})
	values, err := b.store.KV("secret.values")
	if err != nil {
		t.Fatal(err)
	}
	all, err := values.List(t.Context(), "")
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if _, err := values.Put(t.Context(), all[0].Key, []byte("damaged"), store.AnyRevision); err != nil {
		t.Fatal(err)
	}
	b.steps(t, []step{{"GetSecretValue", `{"SecretId":"a"}`, "DecryptionFailure: ", "canary"}})
}

func TestOldVersionsGo(t *testing.T) {
	b := newBench(t)
	b.steps(t, []step{{"CreateSecret", `{"Name":"a","ClientRequestToken":"$1","SecretString":"0"}`, "$1", ""}})
	for i := range 150 {
		if text, _ := b.ask(t, "PutSecretValue", fmt.Sprintf(`{"SecretId":"a","SecretString":"%d"}`, i)); !strings.Contains(text, "AWSCURRENT") {
			t.Fatal(text)
		}
	}
	text, _ := b.ask(t, "ListSecretVersionIds", `{"SecretId":"a","IncludeDeprecated":true}`)
	if n := strings.Count(text, `"VersionId"`); n != maxVersions {
		t.Errorf("%d versions", n)
	}
}

// TestWritersDoNotLoseEachOther: many write one secret at once; each gets its version, and the stages stay single.
func TestWritersDoNotLoseEachOther(t *testing.T) {
	b := newBench(t)
	b.steps(t, []step{{"CreateSecret", `{"Name":"a","ClientRequestToken":"$1","SecretString":"0"}`, "$1", ""}})
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 10 {
				if text, _ := b.ask(t, "PutSecretValue", fmt.Sprintf(`{"SecretId":"a","SecretString":"%d %d"}`, w, i)); !strings.Contains(text, "VersionId") {
					t.Error(text)
				}
			}
		})
	}
	writers.Wait()
	text, _ := b.ask(t, "ListSecretVersionIds", `{"SecretId":"a","IncludeDeprecated":true}`)
	if strings.Count(text, `"VersionId"`) != 81 || strings.Count(text, current) != 1 || strings.Count(text, previous) != 1 {
		t.Error(text)
	}
}

// TestNamesAndARNs: whatever a secret is called by leads to the same ARN and back, and no two names share one.
func TestNamesAndARNs(t *testing.T) {
	place := casemate.DefaultPlace
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[A-Za-z0-9/_+=.@-]{1,40}(-[A-Za-z0-9]{6})?`).Draw(t, "name")
		arn := ARN(place, name)
		for _, id := range []string{name, arn} {
			if got, err := Name(place, id); err != nil || got != name {
				t.Fatalf("%q is %q, %v", id, got, err)
			}
		}
		if again := ARN(place, arn[len(prefix(place)):]); again == arn {
			t.Fatal("two names have one ARN")
		}
	})
}

func TestPasswords(t *testing.T) {
	b := newBench(t)
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(4, 200).Draw(rt, "n")
		text, _ := b.ask(t, "GetRandomPassword", fmt.Sprintf(`{"PasswordLength":%d,"ExcludeCharacters":"abc\"\\","ExcludePunctuation":%t}`, n, n%2 == 0))
		var out struct{ RandomPassword string }
		if err := json.Unmarshal([]byte(text), &out); err != nil || len(out.RandomPassword) != n || strings.ContainsAny(out.RandomPassword, `abc"\ `) {
			rt.Fatalf("%s, %v", text, err)
		}
		for _, kind := range []string{"defghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"} {
			if !strings.ContainsAny(out.RandomPassword, kind) {
				rt.Fatalf("%q has nothing of %s", out.RandomPassword, kind)
			}
		}
	})
	for _, body := range []string{`{"PasswordLength":3}`, `{"PasswordLength":0}`, `{"PasswordLength":5000}`,
		`{"ExcludeLowercase":true,"ExcludeUppercase":true,"ExcludeNumbers":true,"ExcludePunctuation":true}`} {
		if got, _ := b.ask(t, "GetRandomPassword", body); !strings.HasPrefix(got, "InvalidParameterException") {
			t.Errorf("%s: %s", body, got)
		}
	}
}

// FuzzRequests: whatever is sent, each operation answers or refuses with a code of the service, and never panics.
func FuzzRequests(f *testing.F) {
	f.Add("GetSecretValue", `{"SecretId":"a"}`)
	f.Add("CreateSecret", `{"Name":"a","SecretString":"x","Tags":[{"Key":"k","Value":"v"}]}`)
	f.Add("PutSecretValue", `{"SecretId":"a","SecretBinary":"AA=="}`)
	f.Add("ListSecrets", `{"Filters":[{"Key":"name","Values":["a"]}],"NextToken":"YQ"}`)
	b := newBench(f)
	f.Fuzz(func(t *testing.T, op, body string) {
		if _, ok := b.ops[op]; ok {
			b.ask(t, op, body)
		}
	})
}
