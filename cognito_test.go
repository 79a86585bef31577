package casemate

import (
	"maps"
	"testing"
)

// Only a verified token of Cognito's own issuer names an identity.
func TestCognito(t *testing.T) {
	good := map[string]string{"iss": cognitoIssuer, "sub": "us-east-1:0d3c5a3e-1111", "aud": "us-east-1:pool-2222"}
	p := &Principal{Kind: KindToken, ID: "jwt/x", Claims: good}
	if got := p.Cognito(); got != `{"cognitoIdentityId":"us-east-1:0d3c5a3e-1111","cognitoIdentityPoolId":"us-east-1:pool-2222"}` {
		t.Errorf("%s", got)
	}
	for name, change := range map[string]func(p *Principal){
		"another issuer":   func(p *Principal) { p.Claims["iss"] = "https://cognito-identity.amazonaws.com.example" },
		"an authorizer":    func(p *Principal) { p.Kind = KindAuthorizer },
		"nobody":           func(p *Principal) { p.Kind = Nobody },
		"several pools":    func(p *Principal) { delete(p.Claims, "aud") },
		"a quote":          func(p *Principal) { p.Claims["sub"] = `us-east-1:a","x":"` },
		"a line end":       func(p *Principal) { p.Claims["sub"] = "us-east-1:a\r\nX: y" },
		"no region":        func(p *Principal) { p.Claims["sub"] = "0d3c5a3e" },
		"a second colon":   func(p *Principal) { p.Claims["sub"] = "a:b:c" },
		"no claims at all": func(p *Principal) { p.Claims = nil },
	} {
		p := &Principal{Kind: KindToken, ID: "jwt/x", Claims: maps.Clone(good)}
		if change(p); p.Cognito() != "" {
			t.Errorf("%s: %s", name, p.Cognito())
		}
	}
	if (*Principal)(nil).Cognito() != "" {
		t.Error("nobody at all")
	}
}
