package diff

import (
	"testing"

	"casemate"
)

func TestPlanSaysWhatARouteTakes(t *testing.T) {
	for kind, want := range map[casemate.CredentialKind]string{
		casemate.CredentialKey: "takes a key", casemate.CredentialBearer: "takes a token", casemate.CredentialAccess: "takes a signature of AWS (sigv4)",
		casemate.CredentialAuthorizer: "takes an authorizer", casemate.CredentialWebhook: "takes a webhook", casemate.CredentialCertificate: "takes a certificate",
	} {
		c := &comparer{}
		c.auth("route GET /", casemate.Auth{}, casemate.Auth{Kinds: []casemate.CredentialKind{kind}})
		if len(c.changes) != 1 || c.changes[0].Text != want {
			t.Errorf("%s: %+v", kind, c.changes)
		}
	}
}
