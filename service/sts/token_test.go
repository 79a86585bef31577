package sts

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"casemate"
)

type teller struct{ asked []casemate.SessionRequest }

func (d *teller) Assume(_ context.Context, q casemate.SessionRequest) (casemate.SessionKey, error) {
	d.asked = append(d.asked, q)
	return casemate.SessionKey{ID: "ASIA1", Secret: "s", Token: "t", Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Principal: *q.By}, nil
}

// A session token is the caller's own, for a bounded time; what it cannot keep to is refused, not passed over.
func TestSessionTokens(t *testing.T) {
	for payload, life := range map[string]time.Duration{`{}`: 12 * time.Hour, `{"DurationSeconds":"900"}`: 15 * time.Minute, `{"DurationSeconds":"899"}`: 0, `{"DurationSeconds":"43201"}`: 0,
		`{"SerialNumber":"arn:x","TokenCode":"123456"}`: 0, `{"Policy":"{}"}`: 0, `[]`: 0} {
		d := &teller{}
		o := Operations(Config{Place: casemate.DefaultPlace, Sessions: d})[3]
		by := &casemate.Principal{Kind: casemate.KindKey, ID: "user/ada", ARN: "arn:aws:iam::1:user/ada", Role: "clerk"}
		answer, err := o.Run(t.Context(), &casemate.Launch{Principal: by, Payload: []byte(payload)})
		if life == 0 {
			if err == nil || len(d.asked) > 0 {
				t.Errorf("%s: %v", payload, answer)
			}
			continue
		}
		if err != nil || len(d.asked) != 1 || !d.asked[0].Self || d.asked[0].Life != life || d.asked[0].Role != "clerk" || d.asked[0].Name != "ada" {
			t.Fatalf("%s: %+v, %v", payload, d.asked, err)
		}
		if text, err := json.Marshal(answer); err != nil || !strings.HasPrefix(string(text), `{"Credentials":{"AccessKeyId":"ASIA1","SecretAccessKey":"s","SessionToken":"t"`) || answer.(casemate.Noted).Effects()[0].Target != by.ARN+" ASIA1" {
			t.Errorf("%s, %v", text, err)
		}
	}
}
