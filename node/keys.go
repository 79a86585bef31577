package node

import (
	"context"
	"fmt"
	"time"

	"casemate"
	"casemate/authn"
	"casemate/policy"
)

// KeyQuestion asks for a key.
type KeyQuestion struct {
	Name   string   `json:"name"`
	Role   string   `json:"role"`
	Plan   string   `json:"plan,omitempty"` // usage plan; empty: that of the role, if it has one
	App    string   `json:"app,omitempty"`
	Grants []string `json:"grants,omitempty"` // narrows what the role may; short form
	TTL    string   `json:"ttl,omitempty"`
	Reason string   `json:"reason,omitempty"`
}

// MadeKey is the one time that a key's secret is seen.
type MadeKey struct {
	Secret string    `json:"secret"`
	Key    authn.Key `json:"key"`
}

func keyBuiltins(id *authn.Identity, place casemate.Place, hasRole, hasPlan func(string) bool, may judge) map[string]builtin {
	return map[string]builtin{
		"keys.create": named(question("casemate:CreateKey", "key", func(ctx context.Context, l *casemate.Launch, q KeyQuestion) (any, error) {
			if err := covers(l, may, "casemate:CreateKey", "key", q.Role); err != nil {
				return nil, err
			}
			if !hasRole(q.Role) {
				return nil, &casemate.Error{Code: casemate.NotFound, Field: "role", Message: fmt.Sprintf("there is no role %q", q.Role), Hint: "declare it under roles: in casemate.yaml and deploy, or use operator"}
			}
			if q.Plan != "" && !hasPlan(q.Plan) {
				return nil, &casemate.Error{Code: casemate.NotFound, Field: "plan", Message: fmt.Sprintf("there is no usage plan %q", q.Plan), Hint: "declare it under plans: in casemate.yaml and deploy; casemate plans lists them"}
			}
			r := authn.KeyRequest{Name: q.Name, Role: q.Role, Plan: q.Plan, Reason: q.Reason, By: l.Principal.Name()}
			var err error
			if r.Scope, err = scope(place, q); err != nil {
				return nil, err
			}
			if q.TTL != "" {
				if r.TTL, err = time.ParseDuration(q.TTL); err != nil || r.TTL <= 0 {
					return nil, &casemate.Error{Code: casemate.Invalid, Field: "ttl", Message: "not a positive duration in h, m or s", Hint: "24h is a day, 720h are 30 days"}
				}
			}
			secret, k, err := id.CreateKey(ctx, r)
			if err != nil {
				return nil, err
			}
			return MadeKey{Secret: secret, Key: k}, nil
		})),
		"keys.list": question("casemate:ListKeys", "key", func(context.Context, *casemate.Launch, struct{}) (any, error) {
			return id.ListKeys(), nil
		}),
		"keys.revoke": named(question("casemate:RevokeKey", "key", func(ctx context.Context, l *casemate.Launch, q IDQuestion) (any, error) {
			role := "" // of a key that does not exist: as a name it is no other key's
			for _, k := range id.ListKeys() {
				if k.ID == q.ID {
					role = k.Role
				}
			}
			if err := covers(l, may, "casemate:RevokeKey", "key", role); err != nil {
				return nil, err
			}
			return id.RevokeKey(ctx, q.ID)
		})),
	}
}

func scope(place casemate.Place, q KeyQuestion) ([]casemate.Statement, error) {
	var s []casemate.Statement
	for i, text := range q.Grants {
		st, err := policy.Grant(place, q.App, text, "key "+q.Name)
		if err != nil {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: fmt.Sprintf("grants/%d", i), Message: err.Error(), Hint: "write it as in casemate.yaml"}
		}
		s = append(s, st)
	}
	return s, nil
}
