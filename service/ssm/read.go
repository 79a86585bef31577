package ssm

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
	"casemate/secret"
	"casemate/secret/plain"
	"casemate/service/shape"
)

// The types of parameters.
const (
	typeString = "String"
	typeList   = "StringList"
	typeSecure = "SecureString"
)

// Keys of what the room keeps for the service: of an item, and of a version.
const (
	aboutName        = "name" // as it was created, with or without its slash
	aboutType        = "type"
	aboutTier        = "tier"
	aboutPattern     = "pattern"
	aboutDescription = "description"
	aboutUser        = "user"
)

// parameter is a version of a parameter with its value, as an answer. It is encoded once: that wipes the plaintext.
type parameter struct {
	arn      string
	item     *secret.Item
	version  secret.Version
	selector selector
	text     plain.Text
	opened   bool // a secure string in clear, or one that is not secure
	read     time.Time
	history  bool // GetParameterHistory tells more, and no selector
}

// MarshalJSON is the way out of a value, to the caller that the policy allowed.
func (p *parameter) MarshalJSON() ([]byte, error) {
	defer p.text.Wipe()
	number, _ := strconv.Atoi(p.version.ID) // the service made it
	all := map[string]any{"Name": p.item.About[aboutName], "Type": p.item.About[aboutType], "Version": number, "LastModifiedDate": shape.Moment(p.version.Created), "DataType": "text"}
	if p.history {
		all["Labels"], all["Tier"], all["LastModifiedUser"], all["Policies"] = labels(&p.version), p.version.About[aboutTier], p.version.About[aboutUser], []string{}
		for key, name := range map[string]string{aboutDescription: "Description", aboutPattern: "AllowedPattern"} {
			if v := p.version.About[key]; v != "" {
				all[name] = v
			}
		}
	} else {
		all["ARN"] = p.arn
		if p.selector != "" {
			all["Selector"] = p.selector.shown()
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	if b, err = p.text.AppendJSON(append(b[:len(b)-1], `,"Value":`...)); err != nil {
		return nil, err
	}
	return append(b, '}'), nil
}

// labels are never null: SDKs tell an empty list from none.
func labels(v *secret.Version) []string {
	if v.Stages == nil {
		return []string{}
	}
	return v.Stages
}

// Effects puts into the record which version was read.
func (p *parameter) Effects() []casemate.Effect {
	f := casemate.Effect{At: p.read, Kind: casemate.EffectSecret, Target: p.arn + "#" + p.version.ID, Verdict: casemate.Allowed, Reason: "read version " + p.version.ID}
	if !p.opened {
		f.Reason += ", still sealed"
	}
	return []casemate.Effect{f}
}

// parameters are many.
type parameters []*parameter

func (ps parameters) effects() (all []casemate.Effect) {
	for _, p := range ps {
		all = append(all, p.Effects()...)
	}
	return all
}

// reveal opens a version of a parameter that the policy has said yes to. A secure string stays sealed unless decryption is
// asked for: its value is then the ciphertext.
func (s *service) reveal(ctx context.Context, it *secret.Item, v *secret.Version, decrypt bool) (*parameter, error) {
	p := &parameter{arn: ARN(s.Place, it.ID.Name), item: it, version: *v, opened: decrypt || it.About[aboutType] != typeSecure, read: s.Clock()}
	if !p.opened {
		raw, err := s.Room.Ciphertext(ctx, it, v.ID)
		p.text = plain.Take(base64.StdEncoding.AppendEncode(nil, raw))
		return p, err
	}
	var err error
	if p.text, err = s.Room.Reveal(ctx, it, v.ID); err != nil {
		return nil, err
	}
	s.Room.Touch(ctx, it)
	return p, nil
}

// find reads the version that a request calls by name and selector: the last one when there is no selector.
func (s *service) find(ctx context.Context, text string, decrypt bool) (*parameter, error) {
	name, sel, err := split(s.Place, text)
	if err != nil {
		return nil, err
	}
	it, err := s.Room.Get(ctx, s.id(name))
	if err != nil {
		return nil, err
	}
	v := &it.Versions[len(it.Versions)-1] // a parameter has one at least
	if sel != "" {
		if v = it.Version(strconv.Itoa(sel.version())); v == nil {
			v = it.Staged(string(sel))
		}
	}
	if v == nil {
		return nil, noVersion()
	}
	p, err := s.reveal(ctx, it, v, decrypt)
	if err != nil {
		return nil, err
	}
	p.selector = sel
	return p, nil
}

type getIn struct {
	Name           string
	WithDecryption bool
}

type getOut struct{ Parameter *parameter }

// Effects are the parameter's.
func (o getOut) Effects() []casemate.Effect { return o.Parameter.Effects() }

// get is GetParameter.
func (s *service) get(ctx context.Context, _ *casemate.Launch, in *getIn) (any, error) {
	p, err := s.find(ctx, in.Name, in.WithDecryption)
	if err != nil {
		return nil, err
	}
	return getOut{p}, nil
}

type getsIn struct {
	Names          []string
	WithDecryption bool
}

type getsOut struct {
	Parameters        parameters
	InvalidParameters []string
}

// Effects are those of every parameter.
func (o getsOut) Effects() []casemate.Effect { return o.Parameters.effects() }

// gets is GetParameters. Every name was decided on before; one that is not there is listed as invalid, as on AWS.
func (s *service) gets(ctx context.Context, _ *casemate.Launch, in *getsIn) (any, error) {
	out := getsOut{Parameters: parameters{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		p, err := s.find(ctx, name, in.WithDecryption)
		switch {
		case err == nil:
			out.Parameters = append(out.Parameters, p)
		case casemate.CodeOf(err) == casemate.NotFound:
			out.InvalidParameters = append(out.InvalidParameters, name)
		default:
			return nil, err
		}
	}
	return out, nil
}

type historyIn struct {
	Name           string
	WithDecryption bool
	MaxResults     int
	NextToken      string
}

type listOut struct {
	Parameters parameters
	NextToken  string `json:",omitempty"`
	refused    []casemate.Effect
}

// Effects are those of every parameter, and what was left out.
func (o listOut) Effects() []casemate.Effect { return append(o.refused, o.Parameters.effects()...) }

// history is GetParameterHistory: every version that is kept, oldest first, with its value as far as it may be seen.
func (s *service) history(ctx context.Context, _ *casemate.Launch, in *historyIn) (any, error) {
	name, _, err := split(s.Place, in.Name)
	if err != nil {
		return nil, err
	}
	it, err := s.Room.Get(ctx, s.id(name))
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(it.Versions))
	for i := range it.Versions {
		ids[i] = it.Versions[i].ID
	}
	from, to, next, err := page(ids, byNumber, in.NextToken, in.MaxResults, 50)
	if err != nil {
		return nil, err
	}
	out := listOut{Parameters: parameters{}, NextToken: next}
	for i := range it.Versions[from:to] {
		p, err := s.reveal(ctx, it, &it.Versions[from+i], in.WithDecryption)
		if err != nil {
			return nil, err
		}
		p.history = true
		out.Parameters = append(out.Parameters, p)
	}
	return out, nil
}

// page cuts a list that is sorted by order. The token is the key that came last; where that went, its successor follows.
func page(keys []string, order func(a, b string) int, token string, most, limit int) (from, to int, next string, err error) {
	if most == 0 {
		most = limit
	}
	if most < 1 || most > limit {
		return 0, 0, "", invalid("MaxResults must be from 1 to " + strconv.Itoa(limit) + ".")
	}
	if token != "" {
		last, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return 0, 0, "", shape.Failure(casemate.Invalid, "InvalidNextToken", "The specified token isn't valid.")
		}
		from = slices.IndexFunc(keys, func(k string) bool { return order(k, string(last)) > 0 })
		if from < 0 {
			from = len(keys)
		}
	}
	to = min(from+most, len(keys))
	if to < len(keys) {
		next = base64.RawURLEncoding.EncodeToString([]byte(keys[to-1]))
	}
	return from, to, next, nil
}

// byNumber orders the ids of versions: the shorter number is the smaller one.
func byNumber(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) }
