// Package sts is the part of AWS STS that the platform provides: a caller learns who it is, and assumes a role that trusts
// it for a while. Who may is the policy's to say and the role's; this package reads requests and writes answers.
package sts

import (
	"context"

	"casemate"
)

// identity is GetCallerIdentity's answer
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html).
type identity struct {
	UserID  string `json:"UserId"`
	Account string `json:"Account"`
	ARN     string `json:"Arn"`
}

// Operations are the service's.
func Operations(c Config) []casemate.Operation {
	return []casemate.Operation{c.operation("AssumeRole", false), c.operation("AssumeRoleWithWebIdentity", true), {
		Service: "sts", Name: "GetCallerIdentity", Action: "sts:GetCallerIdentity", Body: 1 << 10, Open: true,
		Resource: func(casemate.Place, []byte) (string, error) { return "*", nil },
		Run: func(_ context.Context, l *casemate.Launch) (any, error) {
			p := l.Principal
			return identity{UserID: p.ID, Account: p.Account, ARN: p.ARN}, nil
		},
	}, c.sessionToken()}
}
