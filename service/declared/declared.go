// Package declared keeps the secrets and parameters that stacks declare: it makes those that are not there, changes those whose
// declaration changed, and leaves alone what somebody else made. It goes through the operations of the two services, so that a value
// is checked and sealed as every other. No value is in an answer or an error of it.
package declared

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"casemate"
	"casemate/secret"
)

// Thing is what a stack declares.
type Thing struct {
	App         string // whose it is
	Secret      bool   // of Secrets Manager; otherwise of the parameter store
	Name        string
	Type        string // of a parameter
	Description string
	Value       string          `json:"-"`
	Password    json.RawMessage // question to GetRandomPassword that makes the value; nil: Value is it
	Template    string          // JSON mapping that the password is put into, "" is the password alone
	Key         string          // its name there
}

// What is done about a thing.
const (
	Stays  = ""
	Make   = "make"
	Change = "change"
	Theirs = "theirs" // somebody else made it, or set its value: it stays as it is
)

// Desk keeps them.
type Desk struct {
	Room       *secret.Room
	Place      casemate.Place
	Operations []casemate.Operation // of service/secrets and service/ssm
}

// mark says in an item, which is sealed, what was declared last. It holds a digest of the value, so that an unchanged declaration does
// not undo what was set since.
const mark = "declared"

func (t *Thing) mark() string {
	h := sha256.New()
	fmt.Fprintf(h, "%t\x00%s\x00%s\x00%s\x00%s\x00%s\x00%s", t.Secret, t.Type, t.Description, t.Password, t.Template, t.Key, t.Value)
	return t.App + "/" + hex.EncodeToString(h.Sum(nil))
}

func (d *Desk) id(t *Thing) secret.ID {
	if t.Secret {
		return secret.ID{Account: d.Place.Account, Kind: secret.KindSecret, Name: t.Name}
	}
	return secret.ID{Account: d.Place.Account, Kind: secret.KindParameter, Name: strings.TrimPrefix(t.Name, "/")}
}

// Look says what Declare would do.
func (d *Desk) Look(ctx context.Context, t *Thing) (string, error) {
	it, err := d.Room.Get(ctx, d.id(t))
	if casemate.CodeOf(err) == casemate.NotFound {
		return Make, nil
	}
	if err != nil {
		return "", err
	}
	had := it.About[mark]
	switch {
	case !it.Purge.IsZero():
		return "", casemate.Errorf(casemate.Conflict, "wait until it is gone, or bring it back: RestoreSecret", "the secret %s is on its way out", t.Name)
	case had == t.mark():
		return Stays, nil
	case strings.HasPrefix(had, t.App+"/"):
		return Change, nil
	}
	return Theirs, nil
}

// Declare makes or changes what Look says. l is the caller's: what is written is written in their name.
func (d *Desk) Declare(ctx context.Context, l *casemate.Launch, t *Thing) error {
	what, err := d.Look(ctx, t)
	if err != nil || what == Stays || what == Theirs {
		return err
	}
	value, err := d.value(ctx, l, t)
	if err != nil {
		return err
	}
	switch {
	case !t.Secret:
		err = d.run(ctx, l, "ssm.PutParameter", map[string]any{"Name": t.Name, "Type": t.Type, "Description": t.Description, "Value": value, "Overwrite": what == Change})
	case what == Make:
		err = d.run(ctx, l, "secretsmanager.CreateSecret", map[string]any{"Name": t.Name, "Description": t.Description, "SecretString": value})
	default:
		err = d.run(ctx, l, "secretsmanager.UpdateSecret", map[string]any{"SecretId": t.Name, "Description": t.Description, "SecretString": value})
	}
	if err != nil {
		return err
	}
	_, err = d.Room.Change(ctx, d.id(t), func(it *secret.Item) error {
		if it.About = maps.Clone(it.About); it.About == nil {
			it.About = map[string]string{}
		}
		it.About[mark] = t.mark()
		return nil
	})
	return err
}

// value is what a thing is to hold.
func (d *Desk) value(ctx context.Context, l *casemate.Launch, t *Thing) (string, error) {
	if t.Password == nil {
		return t.Value, nil
	}
	answer, err := d.ask(ctx, l, "secretsmanager.GetRandomPassword", t.Password)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(answer) // this wipes it
	var drawn struct{ RandomPassword string }
	if err == nil {
		err = json.Unmarshal(text, &drawn)
	}
	clear(text)
	if err != nil || drawn.RandomPassword == "" {
		return "", casemate.Errorf(casemate.Fault, "", "drawing a password for %s failed", t.Name)
	}
	if t.Template == "" {
		return drawn.RandomPassword, nil
	}
	into := map[string]any{}
	if err := json.Unmarshal([]byte(t.Template), &into); err != nil {
		return "", casemate.Errorf(casemate.Invalid, `SecretStringTemplate: '{"username": "admin"}'`, "the template of the secret %s is no JSON mapping", t.Name)
	}
	into[t.Key] = drawn.RandomPassword
	made, err := json.Marshal(into)
	return string(made), err
}

func (d *Desk) run(ctx context.Context, l *casemate.Launch, id string, in map[string]any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return casemate.Errorf(casemate.Fault, "", "asking %s failed", id)
	}
	_, err = d.ask(ctx, l, id, body)
	return err
}

// ask runs one operation; body is cleared.
func (d *Desk) ask(ctx context.Context, l *casemate.Launch, id string, body []byte) (any, error) {
	for i := range d.Operations {
		if o := &d.Operations[i]; o.ID() == id {
			return o.Run(ctx, &casemate.Launch{Event: l.Event, Principal: l.Principal, RequestID: l.RequestID, Payload: append([]byte{}, body...)})
		}
	}
	return nil, casemate.Errorf(casemate.Fault, "", "there is no operation %s", id)
}
