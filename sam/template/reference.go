package template

import (
	"slices"
	"strconv"
	"strings"
)

// owner gives the declared resource that a name belongs to: the name itself, or the one that SAM generates it for.
// owner is "" for what SAM makes once for the whole template, such as the implicit APIs.
func (r *resolver) owner(name string) (owner, typ string, ok bool) {
	if d := r.resources[name]; d != nil {
		return name, d.typ, true
	}
	if !r.t.uses(Serverless) {
		return "", "", false
	}
	if owner, typ, ok = r.samName(name); ok {
		return owner, typ, true
	}
	for _, shared := range []string{"ServerlessRestApi", "ServerlessHttpApi", "ServerlessUsagePlan", "ServerlessApiKey", "ServerlessDeploymentApplication", "CodeDeployServiceRole"} {
		if rest, ok := strings.CutPrefix(name, shared); ok && (rest == "" || capital(rest)) {
			return "", "", true
		}
	}
	for i := len(name) - 1; i > 0; i-- {
		if d := r.resources[name[:i]]; d != nil && capital(name[i:]) && strings.HasPrefix(d.typ, "AWS::Serverless::") {
			return d.Key, d.typ, true // OrdersRole of the function Orders
		}
	}
	return "", "", false
}

func capital(s string) bool { return s[0] >= 'A' && s[0] <= 'Z' || s[0] >= '0' && s[0] <= '9' }

// samName reads a name that SAM gives what it generates, such as Orders.Version.
func (r *resolver) samName(name string) (owner, typ string, ok bool) {
	id, part, _ := strings.Cut(name, ".")
	d := r.resources[id]
	if d == nil || !strings.HasPrefix(d.typ, "AWS::Serverless::") {
		return "", "", false
	}
	parts := "Alias Version DestinationTopic DestinationQueue Stage Deployment DomainName DomainNameV2 UsagePlan UsagePlanKey ApiKey"
	return id, d.typ, slices.Contains(strings.Fields(parts), part)
}

// references checks every name that the template refers to, in every branch and every resource, whether its condition
// holds or not: a name that nothing declares is a mistake even where it is not used today.
func (r *resolver) references() {
	for _, section := range []struct {
		name string
		v    Value
	}{{"Conditions", r.t.conditions}, {"Rules", r.t.rules}, {"Globals", r.t.globals}, {"Resources", r.t.res}, {"Outputs", r.t.output}} {
		for _, m := range section.v.Members {
			r.path = append(r.path[:0], section.name, m.Key)
			if c, ok := m.Value.Get("Condition"); ok && (section.name == "Resources" || section.name == "Outputs") {
				r.conditionName(c)
			}
			if on, ok := m.Value.Get("DependsOn"); ok {
				r.dependsOn(on)
			}
			r.refersTo(m.Value, section.name == "Conditions" || section.name == "Rules")
		}
	}
	r.path = r.path[:0]
}

func (r *resolver) dependsOn(v Value) {
	list := v.List
	if v.Kind == String {
		list = []Value{v}
	}
	if v.Kind != String && v.Kind != List {
		r.problem(v.At, "", "DependsOn is the name of a resource or a list of them")
	}
	for _, x := range list {
		if _, _, ok := r.owner(x.Text); !ok || x.Kind != String {
			r.problem(x.At, Nearest(x.Text, sortedKeys(r.resources)), "DependsOn names no resource: %s", x.Quoted())
		}
	}
}

// refersTo walks over v. test is set where Condition is a function, not a key like any other.
func (r *resolver) refersTo(v Value, test bool) {
	for i, x := range v.List {
		r.down(strconv.Itoa(i))
		r.refersTo(x, test)
		r.up(1)
	}
	for _, m := range v.Members {
		r.down(m.Key)
		switch arg := m.Value; {
		case m.Key == "Ref" && arg.Kind == String && !r.exists(arg.Text):
			r.unknown(arg, arg.Text)
		case m.Key == "Fn::GetAtt":
			id := arg
			if arg.Kind == List && len(arg.List) > 0 {
				id = arg.List[0]
			} else {
				id.Text, _, _ = strings.Cut(arg.Text, ".")
			}
			if _, _, ok := r.owner(id.Text); !ok && id.Kind == String {
				r.unknown(id, id.Text)
			}
		case m.Key == "Fn::Sub":
			r.subRefersTo(arg)
		case m.Key == "Fn::If" && arg.Kind == List && len(arg.List) > 0:
			r.conditionName(arg.List[0])
		case m.Key == "Condition" && test && arg.Kind == String:
			r.conditionName(arg)
		}
		r.refersTo(m.Value, test)
		r.up(1)
	}
}

func (r *resolver) subRefersTo(arg Value) {
	text, vars, ok := subArgs(arg)
	parts, message := subParts(text.Text)
	if !ok || message != "" {
		return // said where it is evaluated
	}
	for _, p := range parts {
		if _, given := vars.Get(p.name); p.name == "" || given || r.exists(p.name) {
			continue
		}
		id, _, dotted := strings.Cut(p.name, ".")
		if _, _, ok := r.owner(id); !dotted || !ok {
			r.unknown(text, id)
		}
	}
}

// exists reports whether Ref has an answer for a name.
func (r *resolver) exists(name string) bool {
	if _, ok := r.params[name]; ok {
		return true
	}
	if slices.Contains(strings.Fields("AWS::AccountId AWS::NotificationARNs AWS::NoValue AWS::Partition AWS::Region "+
		"AWS::StackId AWS::StackName AWS::URLSuffix"), name) {
		return true
	}
	_, _, ok := r.owner(name)
	return ok
}

func (r *resolver) unknown(v Value, name string) {
	words := append(sortedKeys(r.resources), sortedKeys(r.params)...)
	if len(name) > 255 {
		name = name[:255]
	}
	r.problem(v.At, Nearest(name, words), "%s is no resource or parameter of this template", strconv.Quote(name))
}

func (r *resolver) conditionName(v Value) {
	if _, ok := r.t.conditions.Get(v.Text); !ok || v.Kind != String {
		var names []string
		for _, m := range r.t.conditions.Members {
			names = append(names, m.Key)
		}
		r.problem(v.At, Nearest(v.Text, names), "%s is no condition of this template", v.Quoted())
	}
}

// mappings checks the form of the mappings: two levels of keys, then texts or lists of texts.
func (r *resolver) mappings() {
	for _, m := range r.t.mappings.Members {
		for _, top := range m.Value.Members {
			path := "Mappings/" + m.Key + "/" + top.Key
			if top.Value.Kind != Map {
				r.found.Add(top.Value.At, path, "", "a second level of keys is wanted here, this is %s", top.Value.Kind)
			}
			for _, x := range top.Value.Members {
				plain := x.Value.Scalar() || x.Value.Kind == List
				if !plain || slices.ContainsFunc(x.Value.List, func(v Value) bool { return !v.Scalar() }) {
					r.found.Add(x.Value.At, path+"/"+x.Key, "functions cannot stand here", "a mapping gives texts or lists of texts")
				}
			}
		}
	}
}

// find evaluates Fn::FindInMap.
func (r *resolver) find(arg Value) (Value, bool) {
	args, ok := r.args(arg, 3, 4)
	if !ok {
		return Value{At: arg.At, Unknown: invalid}, true
	}
	var otherwise *Value
	if len(args) == 4 {
		x, ok := args[3].Get("DefaultValue")
		if otherwise = &x; !ok || !r.t.uses(LanguageExtensions) {
			return r.fail(args[3].At, "add Transform: "+LanguageExtensions, "only a DefaultValue may follow, with the language extensions"), true
		}
	}
	at, secret := r.t.mappings, false
	for i, a := range args[:3] {
		key := r.scalar(a)
		if key.Unknown != "" {
			return key, true
		}
		secret = secret || key.Secret
		next, ok := at.Get(key.Text)
		if !ok && otherwise != nil {
			return r.value(*otherwise)
		}
		if !ok {
			return r.fail(a.At, nearestKey(key, at), "%s is no %s", key.Quoted(), [...]string{"mapping of this template",
				"key of this mapping", "second key of this mapping"}[i]), true
		}
		at = next
	}
	at.Secret = secret
	return r.value(at)
}

// nearestKey proposes a key of v close to a wrong one, unless that is secret.
func nearestKey(key, v Value) string {
	if key.Secret {
		return ""
	}
	words := make([]string, len(v.Members))
	for i, m := range v.Members {
		words[i] = m.Key
	}
	return Nearest(key.Text, words)
}
