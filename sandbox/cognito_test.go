package sandbox

import (
	"testing"

	"casemate"
)

// A caller whose identity Cognito vouched for is context.identity, in the members that each runtime has.
//
// Lambda checklist: 24, 42
func TestCognitoIdentityOfTheContext(t *testing.T) {
	b := newBench(t)
	said := (&casemate.Principal{Kind: casemate.KindToken, ID: "jwt/x",
		Claims: map[string]string{"iss": "https://cognito-identity.amazonaws.com", "sub": "us-east-1:me", "aud": "us-east-1:pool"}}).Cognito()
	for name, c := range map[string]struct {
		v    *casemate.Version
		want string
	}{
		"node":   {b.node("index.handler", `exports.handler = async (e, c) => [c.identity.cognitoIdentityId, c.identity.cognitoIdentityPoolId]`), `["us-east-1:me","us-east-1:pool"]`},
		"python": {b.python("def handler(e, c): return [c.identity.cognito_identity_id, c.identity.cognito_identity_pool_id]"), `["us-east-1:me", "us-east-1:pool"]`},
	} {
		res, err := b.pool.Run(t.Context(), &casemate.Launch{Version: c.v, RequestID: casemate.NewID(), Payload: []byte(`{}`), Cognito: said})
		if err != nil || string(res.Payload) != c.want {
			t.Errorf("%s: %s, %v", name, res.Payload, err)
		}
	}
}
