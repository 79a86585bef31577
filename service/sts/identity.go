// Package sts is the part of AWS STS that the platform provides: a caller learns who it is. Nobody gets another role.
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
func Operations() []casemate.Operation {
	return []casemate.Operation{{
		Service: "sts", Name: "GetCallerIdentity", Action: "sts:GetCallerIdentity", Body: 1 << 10, Open: true,
		Resource: func(casemate.Place, []byte) (string, error) { return "*", nil },
		Run: func(_ context.Context, l *casemate.Launch) (any, error) {
			p := l.Principal
			return identity{UserID: p.ID, Account: p.Account, ARN: p.ARN}, nil
		},
	}}
}
