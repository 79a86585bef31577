package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/audit"
	"casemate/authn/operator"
	"casemate/secret"
	"casemate/secret/kek"
	"casemate/service/secrets"
	"casemate/service/ssm"
)

// stale is how old a value, a key or a last use may grow before posture has a word on it.
const stale = 365 * 24 * time.Hour

func (n *node) openSecrets(ctx context.Context) (err error) {
	n.secrets, err = secret.Open(ctx, secret.Config{Store: n.store, Dir: n.path("secret"), Keys: n.cfg.SecretKeys, Clock: time.Now, Log: n.cfg.Log})
	if err != nil {
		return err
	}
	n.onClose(n.secrets.Close)
	return nil
}

// secretOperations are those of Secrets Manager and Parameter Store.
func (n *node) secretOperations() []casemate.Operation {
	return append(secrets.Operations(secrets.Config{Room: n.secrets, Place: n.cfg.Place, Clock: time.Now, Judge: n.decide}),
		ssm.Operations(ssm.Config{Room: n.secrets, Place: n.cfg.Place, Clock: time.Now, Judge: n.decide})...)
}

// decide is the policy in force, asked for the caller of l about one more resource.
func (n *node) decide(l *casemate.Launch, action, arn string) casemate.Decision {
	s := n.catalog.Snapshot()
	if s.Policy == nil {
		return casemate.Decision{Reason: "no policy is loaded"}
	}
	return s.Policy.Decide(&casemate.AccessRequest{Principal: l.Principal, Action: action, Resource: arn, Account: n.cfg.Place.Account,
		Now: time.Now(), Context: l.Event.Context})
}

// keepsSecrets is what operators may do with secrets and parameters: everything but read them. Who reads needs a role that
// says so.
func keepsSecrets() casemate.Statement {
	return casemate.Statement{Sid: "operator-keeps-secrets", Effect: casemate.Allow, Action: operator.KeepSecrets(), Resource: []string{"*"}, Origin: "built in"}
}

// Rotation asks for new keys.
type Rotation struct {
	Data   bool   `json:"data_key,omitempty"`
	Master bool   `json:"key_encryption_key,omitempty"`
	Handle string `json:"handle,omitempty"` // of the new key-encryption key; empty: the node renews its own
}

// ReadersQuestion asks who read a secret or parameter.
type ReadersQuestion struct {
	Name      string `json:"name"`
	Parameter bool   `json:"parameter,omitempty"`
	Limit     int    `json:"limit,omitempty"`
}

// Reading is one time that somebody read a value, or tried to.
type Reading struct {
	At        time.Time        `json:"at"`
	Principal string           `json:"principal"`
	Role      string           `json:"role,omitempty"`
	Action    string           `json:"action"`
	Verdict   casemate.Verdict `json:"verdict"`
	What      string           `json:"what"` // the version, or why not
	Record    string           `json:"record"`
	Parent    string           `json:"parent,omitempty"` // record of the run that read
}

func (n *node) secretBuiltins() map[string]builtin {
	return map[string]builtin{
		"secret.keys": question("casemate:ReadSecretKeys", "secretkeys", func(context.Context, *casemate.Launch, struct{}) (any, error) {
			return n.secrets.Status(n.cfg.Place.Account), nil
		}),
		"secret.rotate": question("casemate:RotateSecretKeys", "secretkeys", func(ctx context.Context, _ *casemate.Launch, q Rotation) (any, error) {
			return n.rotateKeys(ctx, q)
		}),
		"secret.readers": question("casemate:ListRecords", "record", func(ctx context.Context, _ *casemate.Launch, q ReadersQuestion) (any, error) {
			return n.readers(ctx, q)
		}),
	}
}

func (n *node) rotateKeys(ctx context.Context, q Rotation) (any, error) {
	if !q.Data && !q.Master {
		return nil, casemate.Errorf(casemate.Invalid, "name --data-key, --key-encryption-key or both", "nothing to rotate")
	}
	if strings.HasPrefix(q.Handle, "fd:") || strings.HasPrefix(q.Handle, "env:") {
		return nil, casemate.Errorf(casemate.Invalid, "file:/path on the node; env: and fd: are for casemate up --secret-key", "a running node reads a new key from a file alone")
	}
	if q.Master {
		if _, err := n.secrets.RotateMaster(ctx, q.Handle); err != nil {
			return nil, err
		}
	}
	if q.Data {
		if _, err := n.secrets.RotateData(ctx, n.cfg.Place.Account); err != nil {
			return nil, err
		}
	}
	return n.secrets.Status(n.cfg.Place.Account), nil
}

// readers looks through the record for whoever read a thing or was refused, newest first.
func (n *node) readers(ctx context.Context, q ReadersQuestion) (any, error) {
	arn, actions := ssm.ARN(n.cfg.Place, q.Name), []string{"ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "ssm:GetParameterHistory"}
	if !q.Parameter {
		name, err := secrets.Name(n.cfg.Place, q.Name)
		if err != nil {
			return nil, err
		}
		arn, actions = secrets.ARN(n.cfg.Place, name), []string{"secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue"}
	}
	out := []Reading{}
	for _, action := range actions {
		list, err := n.audit.List(ctx, audit.Filter{Action: action, Newest: true, Limit: 10000})
		if err != nil {
			return nil, err
		}
		for i := range list {
			out = append(out, readingsOf(&list[i].Record, arn)...)
		}
	}
	slices.SortStableFunc(out, func(a, b Reading) int { return b.At.Compare(a.At) })
	if q.Limit = cmp.Or(q.Limit, 50); q.Limit < 0 {
		return nil, casemate.Errorf(casemate.Invalid, "50 is the default", "limit must not be negative")
	}
	return out[:min(len(out), q.Limit)], nil
}

// readingsOf is what one record says about a thing: the versions that were given out, or the refusal.
func readingsOf(r *casemate.Record, arn string) (out []Reading) {
	one := Reading{At: r.Opened, Principal: r.Principal, Role: r.Role, Action: r.Action, Record: r.ID, Parent: r.Parent}
	for _, f := range r.Effects {
		if f.Kind == casemate.EffectSecret && (f.Target == arn || strings.HasPrefix(f.Target, arn+"#")) {
			one.Verdict, one.What = f.Verdict, f.Reason
			out = append(out, one)
		}
	}
	if len(out) == 0 && r.Resource == arn {
		one.What = cmp.Or(r.Outcome.Detail, r.Outcome.Word())
		if r.Outcome.OK { // its effects were cut off: the record says that it was read
			one.Verdict, one.What = casemate.Allowed, "read"
		}
		out = append(out, one)
	}
	return out
}

// secretPosture looks at keys and at secrets that nobody reads or renews.
func (n *node) secretPosture(now time.Time) (fs []Finding) {
	ctx, account := context.Background(), n.cfg.Place.Account // it reads memory alone
	st := n.secrets.Status(account)
	if st.Data == "" {
		return nil
	}
	if st.MasterFrom == kek.Own {
		fs = append(fs, Finding{"medium", "weak", "key-encryption key " + st.Master, "it lies in the node's folder, beside what it opens: a copy of the folder is enough to read every secret",
			"casemate secret keygen FILE elsewhere, then casemate secret rotate --key-encryption-key file:FILE"})
	}
	if now.Sub(st.Since) > stale {
		fs = append(fs, Finding{"low", "weak", "data key " + st.Data, "it is in use since " + st.Since.Format("2006-01-02"), "casemate secret rotate --data-key"})
	}
	for _, kind := range []secret.Kind{secret.KindSecret, secret.KindParameter} {
		items, err := n.secrets.List(ctx, account, kind)
		if err != nil {
			fs = append(fs, Finding{"high", "weak", string(kind) + "s", err.Error(), "restore the node's folder from a backup"})
			continue
		}
		for _, it := range items {
			fs = append(fs, n.itemPosture(ctx, it, now)...)
		}
	}
	return fs
}

func (n *node) itemPosture(ctx context.Context, it *secret.Item, now time.Time) (fs []Finding) {
	if len(it.Versions) == 0 || !it.Purge.IsZero() {
		return nil
	}
	what, last := string(it.ID.Kind)+" "+it.ID.Name, it.Versions[len(it.Versions)-1].Created
	if used := n.secrets.Touched(ctx, it); used.IsZero() && now.Sub(it.Created) > 30*24*time.Hour {
		fs = append(fs, Finding{"low", "expired", what, "nobody ever read it", "casemate secret delete " + it.ID.Name})
	} else if !used.IsZero() && now.Sub(used) > stale {
		fs = append(fs, Finding{"low", "expired", what, "nobody read it since " + used.Format("2006-01-02"), "casemate secret delete " + it.ID.Name})
	}
	if it.ID.Kind == secret.KindSecret && now.Sub(last) > stale {
		fs = append(fs, Finding{"low", "weak", what, fmt.Sprintf("its value is %d days old", int(now.Sub(last).Hours()/24)), "casemate secret set " + it.ID.Name})
	}
	return fs
}
