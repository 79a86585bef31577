package condition

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
)

func env(context map[string][]string) *Env {
	return &Env{
		Request: &casemate.AccessRequest{Context: context, Now: time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC), Resource: "r"},
		Principal: &casemate.Principal{Kind: casemate.KindKey, ID: "key/1", Tags: map[string]string{"Team": "blue", "dup": "1", "DUP": "2"},
			Claims: map[string]string{"sub": "ann", "blank": ""}, Scopes: []string{"a", "b"}},
	}
}

func one(t testing.TB, operator, key string, values ...string) *Condition {
	t.Helper()
	cs, f := New(map[string]map[string][]string{operator: {key: values}})
	if f != nil {
		t.Fatalf("%s: %+v", operator, f)
	}
	return &cs[0]
}

func TestOperators(t *testing.T) {
	for _, c := range []struct {
		operator, want, got string
		yes                 Outcome
	}{
		{"StringEquals", "a*", "a*", Yes}, {"StringEquals", "a*", "ab", No}, {"StringEquals", "a", "A", No}, {"StringNotEquals", "a", "A", Yes},
		{"StringEqualsIgnoreCase", "É", "é", Yes}, {"StringNotEqualsIgnoreCase", "a", "A", No}, {"StringEqualsIgnoreCase", "x${jwt:sub}", "XANN", Yes},
		{"StringLike", "a*:?", "a/b:c", Yes}, {"StringNotLike", "a*", "b", Yes}, {"StringLike", "${jwt:sub}", "ann", Yes}, {"StringLike", "${jwt:none}", "ann", Unknown},
		{"StringNotLike", "${jwt:none}", "ann", Unknown}, {"StringEquals", "${jwt:blank}", "", Unknown}, {"StringEquals", "${jwt:none, 'd'}", "d", Yes},
		{"StringEquals", "${$}{jwt:sub}", "${jwt:sub}", Yes}, {"StringEquals", "${casemate:Scopes}", "a", Unknown}, {"StringEquals", "${aws:PrincipalTag/dup}", "1", Unknown},
		{"NumericEquals", "1.50", "01.5", Yes}, {"NumericEquals", "9007199254740993", "9007199254740992", No}, {"NumericNotEquals", "1", "x", Unknown},
		{"NumericLessThan", "-1", "-2", Yes}, {"NumericLessThanEquals", "0", "-0", Yes}, {"NumericGreaterThan", "9", "10", Yes}, {"NumericGreaterThanEquals", "10", "9.99", No},
		{"NumericLessThan", "5", "NaN", Unknown}, {"NumericLessThan", "5", "1e1", Unknown}, {"NumericLessThan", "5", "", Unknown},
		{"DateLessThan", "2030-01-01", "2029-12-31T23:59:59Z", Yes}, {"DateEquals", "1893456000", "2030-01-01T00:00Z", Yes}, {"DateGreaterThan", "2030-01-01", "soon", Unknown},
		{"DateNotEquals", "2030-01-01", "2030-01-01T01:00:00+01:00", No}, {"DateGreaterThanEquals", "0", "-1", No}, {"DateLessThanEquals", "2030-01-01T00:00:00.5Z", "2030-01-01", Yes},
		{"Bool", "true", "TRUE", Yes}, {"Bool", "true", "1", Unknown}, {"Bool", "false", "true", No},
		{"BinaryEquals", "QUJD", "QUJD", Yes}, {"BinaryEquals", "QUJD", "QUJE", No}, {"BinaryEquals", "QUJD", "QUJ", Unknown},
		{"IpAddress", "203.0.113.0/24", "203.0.113.255", Yes}, {"IpAddress", "203.0.113.7", "203.0.113.8", No}, {"IpAddress", "10.0.0.0/8", "::ffff:10.1.1.1", Yes},
		{"NotIpAddress", "2001:db8::/32", "2001:db9::1", Yes}, {"IpAddress", "0.0.0.0/0", "::1", No}, {"NotIpAddress", "10.0.0.0/8", "fe80::1%eth0", Unknown}, {"IpAddress", "10.0.0.0/8", "010.0.0.1", Unknown},
		{"ArnEquals", "arn:aws:s3:::p*", "arn:aws:s3:::photos", Yes}, {"ArnLike", "arn:*:s3:::photos", "arn:x:y:s3:::photos", No}, {"ArnNotLike", "arn:aws:s3:::p", "photos", Yes}, {"ArnNotEquals", "arn:aws:s3:::p", "arn:aws:s3:::p", No},
	} {
		if got := one(t, c.operator, "a:k", c.want).Holds(env(map[string][]string{"a:k": {c.got}})); got != c.yes {
			t.Errorf("%s %q on %q: %v, want %v", c.operator, c.want, c.got, got, c.yes)
		}
	}
}

// What each form of an operator says when the key is missing, has one fitting value, one that does not fit, or both.
func TestQuantifiers(t *testing.T) {
	for _, c := range []struct {
		operator               string
		none, fit, unfit, both Outcome
	}{
		{"StringEquals", No, Yes, No, Unknown}, {"StringNotEquals", Yes, No, Yes, Unknown},
		{"StringEqualsIfExists", Yes, Yes, No, Unknown}, {"StringNotEqualsIfExists", Yes, No, Yes, Unknown},
		{"ForAllValues:StringEquals", Yes, Yes, No, No}, {"ForAllValues:StringNotEquals", Yes, No, Yes, No},
		{"ForAnyValue:StringEquals", No, Yes, No, Yes}, {"ForAnyValue:StringNotEquals", No, No, Yes, Yes},
		{"ForAnyValue:StringEqualsIfExists", Yes, Yes, No, Yes}, {"ForAnyValue:StringNotEqualsIfExists", Yes, No, Yes, Yes},
		{"ForAllValues:StringLikeIfExists", Yes, Yes, No, No},
	} {
		cond := one(t, c.operator, "A:K", "x", "y")
		for i, want := range []Outcome{c.none, c.none, c.fit, c.unfit, c.both} {
			context := []map[string][]string{nil, {"a:k": {}}, {"a:k": {"y"}}, {"a:k": {"z"}}, {"a:k": {"x", "z"}}}[i]
			if got := cond.Holds(env(context)); got != want {
				t.Errorf("%s on %v: %v, want %v", c.operator, context, got, want)
			}
		}
	}
	for _, c := range []struct {
		value         string
		none, present Outcome
	}{{"true", Yes, No}, {"false", No, Yes}} {
		cond := one(t, "Null", "a:k", c.value)
		if cond.Holds(env(nil)) != c.none || cond.Holds(env(map[string][]string{"a:k": {""}})) != c.present {
			t.Errorf("Null %s", c.value)
		}
	}
	// One value that cannot be read spoils the whole condition, whatever the others say.
	if got := one(t, "ForAnyValue:NumericEquals", "a:k", "1").Holds(env(map[string][]string{"a:k": {"1", "x"}})); got != Unknown {
		t.Errorf("a spoiled list: %v", got)
	}
}

func TestDerivedKeys(t *testing.T) {
	spoof := map[string][]string{}
	for key, want := range map[string]string{
		"aws:userid": "key/1", "aws:PrincipalTag/TEAM": "blue", "jwt:sub": "ann", "casemate:PrincipalKind": "key", "aws:EpochTime": "1906545600",
		"aws:CurrentTime": "2030-06-01T12:00:00Z", "casemate:Resource": "r",
	} {
		spoof[strings.ToLower(key)] = []string{"spoofed"}
		if got := one(t, "StringEquals", key, want).Holds(env(spoof)); got != Yes {
			t.Errorf("%s: %v", key, got)
		}
	}
	for _, key := range []string{"jwt:Sub", "aws:PrincipalTag/none", "aws:PrincipalArn", "aws:PrincipalAccount", "aws:ResourceAccount"} {
		spoof[strings.ToLower(key)] = []string{"spoofed"}
		if got := one(t, "Null", key, "true").Holds(env(spoof)); got != Yes {
			t.Errorf("%s comes from the context: %v", key, got)
		}
	}
	if got := one(t, "StringNotEquals", "aws:PrincipalTag/Dup", "x").Holds(env(nil)); got != Unknown {
		t.Errorf("two tags that differ in case: %v", got)
	}
}

func TestNewRefuses(t *testing.T) {
	for operator, value := range map[string]string{
		"StringEqual": "a", "stringequals": "a", "StringNotNotEquals": "a", "NotStringEquals": "a", "BoolNotEquals": "true", "NotBool": "true",
		"IpNotAddress": "10.0.0.0/8", "NumericNotLessThan": "1", "BinaryNotEquals": "QQ==", "NullIfExists": "true", "ForAllValues:Null": "true",
		"ForSomeValues:StringEquals": "a", "ForAllValues:ForAnyValue:StringEquals": "a", "StringEqualsIfExistsIfExists": "a", "": "a", "IfExists": "a",
		"NumericEquals": "1e3", "NumericLessThan": "${a:b}", "DateEquals": "tomorrow", "Bool": "yes", "BinaryEquals": "?", "IpAddress": "10.0.0.0/33",
		"NotIpAddress": "::ffff:10.0.0.0/104", "ArnEquals": "photos", "ArnLike": "arn:aws:s3", "StringLike": "${a:b", "Null": "1",
	} {
		if cs, f := New(map[string]map[string][]string{operator: {"a:k": {value}}}); f == nil || f.Field != "Condition."+operator+".a:k" || cs != nil {
			t.Errorf("%s %q: %+v", operator, value, f)
		}
	}
	for _, key := range []string{"", "ab", "a:${b:c}", "a:b*", "a:\x00", strings.Repeat("a:", 200)} {
		if _, f := New(map[string]map[string][]string{"StringEquals": {key: {"x"}}}); f == nil {
			t.Errorf("key %q is taken", key)
		}
	}
}

func TestDecimalIsExact(t *testing.T) {
	text := rapid.StringMatching(`[+-]?0{0,3}[0-9]{1,18}(\.[0-9]{1,18}0{0,3})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		x, errX := parseDecimal(a)
		y, errY := parseDecimal(b)
		p, okP := new(big.Rat).SetString(a)
		q, okQ := new(big.Rat).SetString(b)
		if errX != nil || errY != nil || !okP || !okQ {
			t.Fatalf("%q %q: %v %v", a, b, errX, errY)
		}
		if x.compare(y) != p.Cmp(q) {
			t.Fatalf("%s against %s: %d, want %d", a, b, x.compare(y), p.Cmp(q))
		}
	})
}
