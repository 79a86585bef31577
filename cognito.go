package casemate

import "strings"

// cognitoIssuer signs the tokens that Cognito gives for an identity of an identity pool: sub is the identity, aud the pool
// (https://docs.aws.amazon.com/cognitoidentity/latest/APIReference/API_GetOpenIdToken.html).
const cognitoIssuer = "https://cognito-identity.amazonaws.com"

// Cognito is what a function is told as context.identity: the identity and the pool of a caller whose token an issuer vouched for,
// as the JSON of Lambda's Runtime API, or "". Nothing that a caller merely says gets there.
func (p *Principal) Cognito() string {
	if p == nil || p.Kind != KindToken || p.Claims["iss"] != cognitoIssuer {
		return ""
	}
	identity, pool := p.Claims["sub"], p.Claims["aud"]
	if !cognitoID(identity) || !cognitoID(pool) {
		return ""
	}
	return `{"cognitoIdentityId":"` + identity + `","cognitoIdentityPoolId":"` + pool + `"}`
}

// cognitoID reports whether s has the form of both: "us-east-1:0d3c5a3e-...".
func cognitoID(s string) bool {
	region, id, ok := strings.Cut(s, ":")
	if !ok || region == "" || id == "" || len(s) > 55 {
		return false
	}
	for _, c := range []byte(region + id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
