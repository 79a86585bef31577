package sts

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
)

// Bounds of STS (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).
const (
	maxPolicy = 2048
	maxTags   = 50
	maxKey    = 128
	maxValue  = 256

	actionTag    = "sts:TagSession"
	actionSource = "sts:SetSourceIdentity"
)

var (
	nameForm     = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	externalForm = regexp.MustCompile(`^[\w+=,.@:/-]{2,}$`) // and 1224 at most
	roleForm     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	tagForm      = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+@-]*$`)
)

// Config is what assuming a role takes.
type Config struct {
	Place    casemate.Place
	Sessions casemate.Sessions
	Scope    func(doc string) ([]casemate.Statement, error) // reads a session policy
}

// assumption is a request, read.
type assumption struct {
	role, name, external, source string
	life                         time.Duration
	scope                        []casemate.Statement
	tags                         map[string]string
	transitive                   []string
}

// credentials are a session's, as STS writes them.
type credentials struct {
	ID         string `json:"AccessKeyId"`
	Secret     string `json:"SecretAccessKey"`
	Token      string `json:"SessionToken"`
	Expiration string
}

type assumedUser struct {
	ID  string `json:"AssumedRoleId"`
	ARN string `json:"Arn"`
}

// assumed is what both operations answer. It notes which session was issued.
type assumed struct {
	Credentials     credentials
	AssumedRoleUser assumedUser
	Subject         string `json:"SubjectFromWebIdentityToken,omitempty"`
	Audience        string `json:",omitempty"`
	Provider        string `json:",omitempty"`
	SourceIdentity  string `json:",omitempty"`

	note casemate.Effect
}

// Effects implements casemate.Noted.
func (a *assumed) Effects() []casemate.Effect { return []casemate.Effect{a.note} }

// operation is AssumeRole or AssumeRoleWithWebIdentity.
func (c *Config) operation(name string, federated bool) casemate.Operation {
	return casemate.Operation{Service: "sts", Name: name, Action: "sts:" + name, Body: 64 << 10, Trusted: true,
		Resource: func(place casemate.Place, body []byte) (string, error) {
			in, err := c.read(place, body)
			if err != nil {
				return "", err
			}
			return place.RoleARN(in.role), nil
		},
		Context: func(body []byte) map[string][]string {
			in, err := c.read(c.Place, body)
			if err != nil {
				return nil
			}
			return in.context()
		},
		Run: func(ctx context.Context, l *casemate.Launch) (any, error) {
			in, err := c.read(c.Place, l.Payload)
			if err != nil {
				return nil, err
			}
			if federated != (l.Principal.Kind == casemate.KindToken) {
				return nil, failure("AccessDenied", casemate.Forbidden, "this operation takes another kind of caller")
			}
			return c.assume(ctx, l, in)
		}}
}

// read takes a request apart. Its parameters are the members of one object, as the query protocol has them.
func (c *Config) read(place casemate.Place, body []byte) (*assumption, error) {
	var members map[string]string
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, invalid("the parameters are no texts")
	}
	in := &assumption{life: casemate.DefaultSession}
	keys, values := map[int]string{}, map[int]string{}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if err := c.parameter(in, place, name, members[name], keys, values); err != nil {
			return nil, err
		}
	}
	if in.role == "" || in.name == "" {
		return nil, invalid("RoleArn and RoleSessionName are needed")
	}
	return in, in.tagged(keys, values)
}

func (c *Config) parameter(in *assumption, place casemate.Place, name, value string, keys, values map[int]string) (err error) {
	switch name {
	case "RoleArn":
		role, ok := strings.CutPrefix(value, place.RoleARN(""))
		if !ok || !roleForm.MatchString(role) {
			return invalid("RoleArn is no role of this account: " + place.RoleARN("<name>"))
		}
		in.role = role
	case "RoleSessionName":
		in.name = value
		return form(nameForm, name, value)
	case "DurationSeconds":
		n, err := strconv.Atoi(value)
		if err != nil || n < int(casemate.MinSession/time.Second) || n > int(casemate.MaxSession/time.Second) {
			return invalid("DurationSeconds is not between 900 and 43200")
		}
		in.life = time.Duration(n) * time.Second
	case "Policy":
		if len(value) > maxPolicy {
			return failure("PackedPolicyTooLarge", casemate.Invalid, "Policy is longer than 2048 characters")
		}
		if in.scope, err = c.Scope(value); err != nil {
			return failure("MalformedPolicyDocument", casemate.Invalid, casemate.AsError(err).Message)
		}
		if in.scope == nil {
			in.scope = []casemate.Statement{} // it was given, and allows nothing
		}
	case "ExternalId":
		in.external = value
		if len(value) > 1224 {
			return invalid("ExternalId is malformed")
		}
		return form(externalForm, name, value)
	case "SourceIdentity":
		in.source = value
		return form(nameForm, name, value)
	case "WebIdentityToken": // the caller was verified by it
	default:
		return in.listed(name, value, keys, values)
	}
	return nil
}

// listed takes a parameter that is part of a list.
func (in *assumption) listed(name, value string, keys, values map[int]string) error {
	list, rest, _ := strings.Cut(name, ".member.")
	number, field, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > maxTags || strconv.Itoa(n) != number {
		return invalid("the parameter " + casemate.Target{Builtin: name}.String() + " is not taken here")
	}
	switch list + " " + field {
	case "Tags Key":
		keys[n] = value
	case "Tags Value":
		values[n] = value
	case "TransitiveTagKeys ":
		in.transitive = append(in.transitive, value)
	default:
		return invalid("the parameter " + list + " is not taken here")
	}
	return nil
}

// tagged puts session tags together. Names are unique whatever their case, as on AWS: conditions look at them so.
func (in *assumption) tagged(keys, values map[int]string) error {
	if len(keys) != len(values) {
		return invalid("a tag has no key, or no value")
	}
	seen := map[string]bool{}
	for n, key := range keys {
		value, ok := values[n]
		if !ok || key == "" || len(key) > maxKey || len(value) > maxValue || !tagForm.MatchString(key) || !tagForm.MatchString(value) || seen[strings.ToLower(key)] ||
			strings.HasPrefix(strings.ToLower(key), "aws:") {
			return invalid("a tag is malformed, or there twice")
		}
		if in.tags == nil {
			in.tags = map[string]string{}
		}
		seen[strings.ToLower(key)], in.tags[key] = true, value
	}
	for _, key := range in.transitive {
		if _, ok := in.tags[key]; !ok {
			return invalid("a transitive tag is none of the session's tags")
		}
	}
	return nil
}

// context are the condition keys of a request
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-sts).
func (in *assumption) context() map[string][]string {
	out := map[string][]string{"sts:rolesessionname": {in.name}, "sts:durationseconds": {strconv.Itoa(int(in.life / time.Second))}}
	if in.external != "" {
		out["sts:externalid"] = []string{in.external}
	}
	if in.source != "" {
		out["sts:sourceidentity"] = []string{in.source}
	}
	for key, value := range in.tags {
		out["aws:requesttag/"+strings.ToLower(key)] = []string{value}
		out["aws:tagkeys"] = append(out["aws:tagkeys"], key)
	}
	slices.Sort(out["aws:tagkeys"])
	if len(in.transitive) > 0 {
		out["sts:transitivetagkeys"] = in.transitive
	}
	return out
}

// Asked are the actions on the role that a request needs beside its own, from its condition keys.
func Asked(context map[string][]string) (actions []string) {
	if len(context["aws:tagkeys"]) > 0 {
		actions = append(actions, actionTag)
	}
	if len(context["sts:sourceidentity"]) > 0 {
		actions = append(actions, actionSource)
	}
	return actions
}

// assume makes the session. Policy and trust have said yes.
func (c *Config) assume(ctx context.Context, l *casemate.Launch, in *assumption) (any, error) {
	by := l.Principal
	q := casemate.SessionRequest{Role: in.role, Name: in.name, Life: in.life, Scope: in.scope, Tags: in.tags, Transitive: in.transitive, SourceIdentity: in.source, By: by}
	if err := inherit(&q); err != nil {
		return nil, err
	}
	if e := l.Event; e.Source == casemate.SourceRun {
		if e.Parent == "" || e.Credential.Signed == nil {
			return nil, failure("AccessDenied", casemate.Forbidden, "no run is going on")
		}
		q.Run, q.Sandbox = e.Parent, e.Credential.Signed.Sandbox
	}
	k, err := c.Sessions.Assume(ctx, q)
	if err != nil {
		return nil, err
	}
	a := &assumed{SourceIdentity: q.SourceIdentity, Credentials: credentials{k.ID, k.Secret, k.Token, k.Expires.UTC().Format(time.RFC3339)},
		AssumedRoleUser: assumedUser{k.Principal.ID, k.Principal.ARN},
		note:            casemate.Effect{Kind: casemate.EffectService, Target: k.Principal.ARN + " " + k.ID, Verdict: casemate.Allowed, Reason: "a session until " + k.Expires.UTC().Format(time.RFC3339)}}
	if by.Kind == casemate.KindToken {
		a.Subject, a.Audience, a.Provider = by.Claims["sub"], by.Claims["aud"], by.Claims["iss"]
	}
	return a, nil
}

// inherit hands on what a session that assumes another role cannot shake off: its transitive tags, its source identity.
func inherit(q *casemate.SessionRequest) error {
	by := q.By
	if by.Kind != casemate.KindSession {
		return nil
	}
	if q.SourceIdentity != "" && by.SourceIdentity != "" && q.SourceIdentity != by.SourceIdentity {
		return failure("AccessDenied", casemate.Forbidden, "the session has another source identity")
	}
	if by.SourceIdentity != "" {
		q.SourceIdentity = by.SourceIdentity
	}
	tags := maps.Clone(q.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	for _, key := range by.Transitive {
		for own := range q.Tags {
			if strings.EqualFold(own, key) {
				return failure("InvalidParameterValue", casemate.Invalid, "a transitive tag of the session cannot be replaced")
			}
		}
		tags[key] = by.Tags[key]
	}
	q.Tags, q.Transitive = tags, append(slices.Clone(q.Transitive), by.Transitive...)
	return nil
}

func form(pattern *regexp.Regexp, name, value string) error {
	if !pattern.MatchString(value) {
		return invalid(name + " is malformed")
	}
	return nil
}

func invalid(message string) error { return failure("ValidationError", casemate.Invalid, message) }

func failure(aws string, code casemate.Code, message string) error {
	return &casemate.Error{Code: code, AWS: aws, Message: message}
}
