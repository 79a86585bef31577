package sts

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"casemate"
)

// tokened is GetSessionToken's answer (https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html).
type tokened struct {
	Credentials credentials

	note casemate.Effect
}

// Effects implements casemate.Noted.
func (t *tokened) Effects() []casemate.Effect { return []casemate.Effect{t.note} }

// sessionToken gives the holder of an access key credentials that end: its own role, no more. They get no session token
// themselves. A device's code is not taken here: who sends one is told so, rather than believed.
func (c *Config) sessionToken() casemate.Operation {
	return casemate.Operation{Service: "sts", Name: "GetSessionToken", Action: "sts:GetSessionToken", Body: 1 << 10, Open: true,
		Resource: func(casemate.Place, []byte) (string, error) { return "*", nil },
		Run: func(ctx context.Context, l *casemate.Launch) (any, error) {
			var members map[string]string
			if err := json.Unmarshal(l.Payload, &members); err != nil {
				return nil, invalid("the parameters are no texts")
			}
			life := casemate.MaxSession // AWS's default
			for name, value := range members {
				if name != "DurationSeconds" {
					return nil, invalid("only DurationSeconds is taken here")
				}
				n, err := strconv.Atoi(value)
				if err != nil || n < int(casemate.MinSession/time.Second) || n > int(casemate.MaxSession/time.Second) {
					return nil, invalid("DurationSeconds is not between 900 and 43200")
				}
				life = time.Duration(n) * time.Second
			}
			by := l.Principal
			k, err := c.Sessions.Assume(ctx, casemate.SessionRequest{Role: by.Role, Name: by.ID[strings.LastIndexByte(by.ID, '/')+1:], Life: life, By: by, Self: true})
			if err != nil {
				return nil, err
			}
			until := k.Expires.UTC().Format(time.RFC3339)
			return &tokened{Credentials: credentials{k.ID, k.Secret, k.Token, until},
				note: casemate.Effect{Kind: casemate.EffectService, Target: k.Principal.ARN + " " + k.ID, Verdict: casemate.Allowed, Reason: "a session until " + until}}, nil
		}}
}
