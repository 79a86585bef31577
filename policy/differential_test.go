package policy_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"testing"

	"casemate"
	"casemate/policy"
)

// The compiled, indexed evaluator gives the answers of the oracle: verdict, layer and statement. 40,000 cases, a fifth of
// them under the race detector unless CASEMATE_FULL=1.
//
// Lambda checklist: 91, 94
func TestDecideAgreesWithTheOracle(t *testing.T) {
	cases := 40_000
	if raced && os.Getenv("CASEMATE_FULL") != "1" {
		cases = 8_000
	}
	g := &generator{rand.New(rand.NewPCG(1, 2))}
	regexps := map[string]*regexp.Regexp{}
	seen := map[answer]int{}
	for n := 0; n < cases; {
		p := g.policies()
		set, err := policy.Compile(p)
		if err != nil {
			t.Fatalf("%v in %s", err, dump(p))
		}
		for range 10 {
			r := g.request()
			o := &oracle{policies: p, request: r, regexps: regexps}
			want := o.decide()
			d := set.Decide(r)
			got := answer{d.Verdict, d.Layer, want.label}
			if want.label != "" {
				got.label = d.Statement
			}
			if got != want {
				t.Fatalf("case %d: got %+v, want %+v\n%s\n%s\n%s", n, got, want, d.Reason, dump(r), dump(p))
			}
			if d.Reason == "" {
				t.Fatalf("case %d: no reason", n)
			}
			want.label = ""
			seen[want]++
			n++
		}
	}
	for _, a := range []answer{
		{casemate.Allowed, "identity", ""}, {casemate.Allowed, "resource", ""}, {casemate.Denied, "guardrail", ""},
		{casemate.Denied, "boundary", ""}, {casemate.Denied, "session", ""}, {casemate.Denied, "identity", ""},
		{casemate.Denied, "resource", ""}, {casemate.Denied, "default", ""},
	} {
		if seen[a]*200 < cases {
			t.Errorf("only %d of %d cases end with %+v: the generator does not reach it", seen[a], cases, a)
		}
	}
	t.Logf("%d cases: %v", cases, seen)
}

func dump(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// generator draws from small vocabularies, so that things meet.
type generator struct{ *rand.Rand }

func (g *generator) one(list ...string) string { return list[g.IntN(len(list))] }

func (g *generator) some(list ...string) []string {
	var out []string
	for range 1 + g.IntN(2) {
		out = append(out, g.one(list...))
	}
	return out
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

var (
	someActions   = []string{"s3:GetObject", "s3:PutObject", "S3:getobject", "sqs:SendMessage", "lambda:InvokeFunction"}
	someResources = []string{
		"arn:aws:s3:::photos/ann/1.jpg", "arn:aws:s3:::photos/bob/a:b", "arn:aws:sqs:us-east-1:000000000000:jobs",
		"arn:aws:lambda:us-east-1:000000000000:function:price:3", "arn:aws:s3:::photos/*/é?", "orders", "arn:aws:s3:::photos/",
	}
	someRoles = []string{"clerk", "boss"}
)

func (g *generator) policies() casemate.Policies {
	p := casemate.Policies{
		Identity: map[string][]casemate.Statement{}, Boundary: map[string][]casemate.Statement{}, Resource: map[string][]casemate.Statement{},
	}
	for _, role := range someRoles {
		most := 5
		if g.chance(10) {
			most = 60
		}
		p.Identity[role] = g.statements(most, false)
		if g.chance(20) {
			p.Boundary[role] = append(g.statements(3, false), g.broad(60)...)
		}
	}
	for _, r := range someResources {
		if g.chance(40) {
			p.Resource[r] = g.statements(4, true)
		}
	}
	if g.chance(20) {
		p.Guardrails = append(g.statements(3, false), g.broad(70)...)
	}
	return p
}

func (g *generator) broad(percent int) []casemate.Statement {
	if g.chance(percent) {
		return list(allow("*", "*"))
	}
	return nil
}

func (g *generator) statements(most int, resource bool) []casemate.Statement {
	var out []casemate.Statement
	for range g.IntN(most + 1) {
		out = append(out, g.statement(resource))
	}
	return out
}

func (g *generator) statement(resource bool) casemate.Statement {
	s := casemate.Statement{Effect: casemate.Allow}
	if g.chance(15) {
		s.Effect = casemate.Deny
	}
	if g.chance(5) {
		s.Sid = g.one("One", "Two")
	}
	actions := g.some("*", "*:*", "s3:*", "s3:Get*", "s3:GetObject", "S3:GETOBJECT", "*:*Object", "sqs:Send?essage", "l*:*", "lambda:InvokeFunction", "s?:*")
	if g.chance(12) {
		s.NotAction = actions
	} else {
		s.Action = actions
	}
	resources := g.some("*", "*", "arn:aws:s3:::photos/*", "arn:aws:s3:::photos/${jwt:sub}/*", "arn:aws:s3:::*/?.jpg", "arn:*:s*:*:*:*",
		"arn:aws:s3:::photos/ann/1.jpg", "arn:aws:sqs:us-east-1:${aws:PrincipalAccount}:jobs", "arn:aws:lambda:*:*:function:price*",
		"arn:aws:s3:::photos/${aws:PrincipalTag/Team, 'ann'}/1.jpg", "arn:aws:s3:::photos/${*}/*", "arn:aws:s3:::photos/*/é${?}",
		"arn:aws:${s:svc}:::*", "arn:aws:s3:::p*/b*:?", "arn:aws:sqs:us-east-1:000000000000:jobs", "arn:aws:s3:::photos/${jwt:none}")
	if g.chance(12) {
		s.NotResource = resources
	} else {
		s.Resource = resources
	}
	if resource {
		who := map[string][]string{}
		switch g.IntN(5) {
		case 0:
			who["*"] = []string{"*"}
		case 1, 2:
			who["AWS"] = g.some("000000000000", "111111111111", "arn:aws:iam::000000000000:root", "arn:aws:iam::000000000000:role/clerk",
				"arn:aws:iam::111111111111:role/boss", "arn:aws:iam::000000000000:user/ann", "*")
		case 3:
			who["Service"] = g.some("events.amazonaws.com", "s3.amazonaws.com")
		default:
			who["Federated"] = g.some("https://idp.example", "https://other.example")
		}
		if s.Effect == casemate.Deny && g.chance(30) {
			s.NotPrincipal = who
		} else {
			s.Principal = who
		}
	}
	for range g.IntN(5) / 2 {
		g.condition(&s)
	}
	return s
}

func (g *generator) condition(s *casemate.Statement) {
	key, operator := "", ""
	var values []string
	switch g.IntN(9) {
	case 0, 1:
		operator = g.one("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike")
		key = g.one("s:team", "S:Team", "aws:PrincipalTag/team", "aws:principaltag/TEAM", "jwt:sub", "jwt:Sub", "aws:userid", "casemate:PrincipalKind",
			"casemate:Scopes", "s:none", "aws:PrincipalTag/Dup", "casemate:Resource")
		values = g.some("blue", "Blue", "b*", "?lue", "ann", "*", "${jwt:sub}", "${s:team}", "${s:none}", "${s:none, 'blue'}", "${*}lue", "token", "orders:read", "")
	case 2:
		operator = g.one("NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals")
		key, values = g.one("s:n", "aws:EpochTime", "s:team"), g.some("1", "01.0", "-2.50", "9007199254740993", "9007199254740992", "1906545600")
	case 3:
		operator = g.one("DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals")
		key = g.one("aws:CurrentTime", "s:date", "s:team", "aws:EpochTime")
		values = g.some("2030-06-01T12:00:00Z", "2030-06-01", "2031-01-01T00:00:00+02:00", "1906545600")
	case 4:
		operator, key, values = "Bool", g.one("aws:securetransport", "s:team", "s:none"), g.some("true", "false", "TRUE")
	case 5:
		operator, key, values = "BinaryEquals", g.one("s:bin", "s:team"), g.some("QUJD", "AAECAw==")
	case 6:
		operator, key = g.one("IpAddress", "NotIpAddress"), g.one("aws:SourceIp", "s:team")
		values = g.some("203.0.113.0/24", "203.0.113.9", "0.0.0.0/0", "2001:db8::/32", "::/0", "203.0.113.77/8")
	case 7:
		operator, key = g.one("ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"), g.one("aws:SourceArn", "aws:PrincipalArn", "s:team")
		values = g.some("arn:aws:s3:::photos", "arn:aws:*:*:*:*", "arn:aws:iam::000000000000:user/${jwt:sub}", "arn:aws:s3:::p?otos", "*")
	default:
		operator, key, values = "Null", g.one("s:team", "s:none", "jwt:sub", "aws:PrincipalTag/Dup", "aws:CurrentTime"), g.some("true", "false")
	}
	if operator != "Null" {
		operator = g.one("", "", "", "ForAllValues:", "ForAnyValue:") + operator + g.one("", "", "IfExists")
	}
	if s.Condition == nil {
		s.Condition = map[string]map[string][]string{}
	}
	if s.Condition[operator] == nil {
		s.Condition[operator] = map[string][]string{}
	}
	s.Condition[operator][key] = values
}

func (g *generator) request() *casemate.AccessRequest {
	r := &casemate.AccessRequest{
		Action: g.one(someActions...), Resource: g.one(someResources...), Account: g.one(home, home, home, "111111111111", ""), Now: noon,
		Context: map[string][]string{},
	}
	contexts := map[string][]string{
		"s:team": {"blue", "Blue", "ann", "1", "", "*lue"}, "s:n": {"1", "-2.5", "9007199254740993", "x", "1.00"}, "s:svc": {"s3", "s*", ""},
		"s:date": {"2030-06-01T12:00:00Z", "1906545600", "soon"}, "aws:securetransport": {"true", "False", "yes"}, "s:bin": {"QUJD", "?"},
		"aws:sourceip": {"203.0.113.9", "::ffff:203.0.113.9", "2001:db8::1", "here"}, "aws:sourcearn": {"arn:aws:s3:::photos", "photos"},
		"jwt:sub": {"root"}, "aws:principaltag/team": {"red"}, // a front cannot override what the Decider derives
	}
	for _, key := range slices.Sorted(maps.Keys(contexts)) {
		values := contexts[key]
		switch n := g.IntN(10); {
		case n < 6:
			r.Context[key] = []string{g.one(values...)}
		case n < 8:
			r.Context[key] = g.some(values...)
		case n < 9:
			r.Context[key] = []string{}
		}
	}
	if g.chance(8) {
		return r
	}
	r.Principal = &casemate.Principal{
		Kind: casemate.PrincipalKind(g.one("token", "token", "key", "")), ID: g.one("jwt/ann", "jwt/ann", "service/events.amazonaws.com"),
		Role: g.one("clerk", "clerk", "boss", "ghost", ""), Account: g.one(home, home, "111111111111", ""),
		ARN:    g.one("arn:aws:iam::000000000000:user/ann", ""),
		Tags:   map[string]string{"Dup": "1"},
		Claims: map[string]string{"iss": g.one("https://idp.example", "")}, Scopes: g.some("orders:read", "blue"),
	}
	if g.chance(80) {
		r.Principal.Claims["sub"] = g.one("ann", "bob", "*", "")
	}
	if g.chance(70) {
		r.Principal.Tags[g.one("Team", "team")] = g.one("blue", "ann", "red")
	}
	if g.chance(30) {
		r.Principal.Tags["dup"] = "2"
	}
	if g.chance(25) {
		r.Principal.Scope = append([]casemate.Statement{}, append(g.statements(3, false), g.broad(50)...)...)
	}
	return r
}
