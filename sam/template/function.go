package template

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// functionNames are the functions of properties in their long form.
func functionNames() []string {
	return strings.Fields("Ref Fn::Base64 Fn::Cidr Fn::FindInMap Fn::GetAZs Fn::GetAtt Fn::If Fn::ImportValue Fn::Join " +
		"Fn::Length Fn::Select Fn::Split Fn::Sub Fn::ToJsonString Fn::Transform Fn::And Fn::Equals Fn::Not Fn::Or")
}

// isFunction reports whether a key names a function.
func isFunction(key string) bool { return key == "Ref" || strings.HasPrefix(key, "Fn::") }

// function reports whether v is a call. A function beside other keys is a problem: one of the two would be lost.
func (r *resolver) function(v Value) (name string, arg Value, ok bool) {
	for _, m := range v.Members {
		if !isFunction(m.Key) {
			continue
		}
		if len(v.Members) > 1 {
			r.problem(m.KeyAt, "check the indentation", "%s stands beside other keys; a function stands alone", m.Key)
		}
		return m.Key, m.Value, true
	}
	return "", Value{}, false
}

// call evaluates one function. It reports false when the result is AWS::NoValue.
func (r *resolver) call(name string, arg Value) (Value, bool) {
	r.down(name)
	defer r.up(1)
	switch name {
	case "Ref":
		if arg.Kind == String && arg.Text == "AWS::NoValue" {
			return Value{}, false
		}
		return r.ref(arg), true
	case "Fn::If":
		return r.choose(arg)
	case "Fn::GetAtt":
		return r.attribute(arg), true
	case "Fn::Sub":
		return r.sub(arg), true
	case "Fn::Join":
		return r.join(arg), true
	case "Fn::Split":
		return r.split(arg), true
	case "Fn::Select":
		return r.pick(arg), true
	case "Fn::FindInMap":
		return r.find(arg)
	case "Fn::Base64":
		return r.base64(arg), true
	case "Fn::ImportValue":
		return r.imported(arg), true
	case "Fn::GetAZs":
		return r.zones(arg), true
	case "Fn::Cidr":
		return r.cidr(arg), true
	case "Fn::ToJsonString", "Fn::Length":
		return r.extension(name, arg), true
	}
	return r.refused(name, arg), true
}

// refused says why a function cannot stand here.
func (r *resolver) refused(name string, arg Value) Value {
	switch {
	case name == "Fn::Transform":
		macro, _ := arg.Get("Name")
		if macro.Text == "AWS::Include" {
			return r.fail(arg.At, "write the included text into the template", "AWS::Include reads from S3 and is not taken")
		}
		return r.fail(arg.At, "", "the macro %s cannot be run here", macro.Quoted())
	case forEach(name):
		return r.fail(arg.At, "add Transform: "+LanguageExtensions, "loops need the language extensions")
	case isTest(name):
		return r.fail(arg.At, "name a condition and use Fn::If", "%s stands only in conditions", name)
	}
	return r.fail(arg.At, Nearest(name, functionNames()), "%s is no function of CloudFormation", name)
}

// args checks that arg is a list of low to high arguments.
func (r *resolver) args(arg Value, low, high int) ([]Value, bool) {
	if arg.Kind == List && len(arg.List) >= low && len(arg.List) <= high {
		return arg.List, true
	}
	want := strconv.Itoa(low)
	if low != high {
		want += " to " + strconv.Itoa(high)
	}
	r.problem(arg.At, "", "a list is wanted here, of length %s", want)
	return nil, false
}

// scalar resolves v to one text, number or boolean. A value that is not known stays so.
func (r *resolver) scalar(v Value) Value {
	x, ok := r.value(v)
	switch {
	case !ok:
		return r.fail(v.At, "", "AWS::NoValue cannot stand here")
	case x.Unknown == "" && !x.Scalar():
		return r.fail(v.At, "", "a text is wanted here, this is %s", x.Kind)
	}
	return x
}

// scalars resolves v to a list of texts, numbers or booleans.
func (r *resolver) scalars(v Value) Value {
	x, ok := r.value(v)
	switch {
	case !ok:
		return r.fail(v.At, "", "AWS::NoValue cannot stand here")
	case x.Unknown != "":
		return x
	case x.Kind != List:
		return r.fail(v.At, "", "a list is wanted here, this is %s", x.Kind)
	}
	for _, y := range x.List {
		if !y.Scalar() && y.Unknown == "" {
			return r.fail(y.At, "", "a list of texts is wanted here, this is %s", y.Kind)
		}
	}
	return x
}

// made gives a text that is made of others: it is as unknown and as secret as they are.
func made(at Position, s string, of ...Value) Value {
	v := Value{Kind: String, Text: s, At: at}
	for _, x := range of {
		v.Secret = v.Secret || x.Secret
		switch {
		case x.Unknown == "" || v.Unknown == invalid:
		case v.Unknown == "" || x.Unknown == invalid:
			v.Unknown = x.Unknown
		case len(v.Unknown) < 200 && !strings.Contains(v.Unknown, x.Unknown):
			v.Unknown += ", " + x.Unknown
		}
	}
	if name := dynamic(s); v.Unknown == "" && name != "" {
		if v.Unknown = name; v.Secret {
			v.Unknown = "{{resolve:****}}"
		}
	}
	return v
}

// later is a value that only deployment gives.
func later(at Position, name string) Value {
	return Value{Kind: String, Text: "${" + name + "}", At: at, Unknown: name}
}

func (r *resolver) ref(arg Value) Value {
	if arg.Kind == String {
		return r.named(arg.Text, arg.At)
	}
	name := r.computed(arg, "Ref takes a name")
	if name.Unknown == "" && !r.exists(name.Text) {
		r.unknown(arg, name.Text)
	}
	return r.named(name.Text, arg.At)
}

// computed evaluates a name that a function makes, which the language extensions allow.
func (r *resolver) computed(arg Value, wants string) Value {
	if _, _, call := r.function(arg); !call || !r.t.uses(LanguageExtensions) {
		return r.fail(arg.At, "", "%s, this is %s", wants, arg.Kind)
	}
	name := r.known(r.scalar(arg))
	if name.Secret {
		return r.fail(arg.At, "write it out", "a NoEcho parameter cannot name anything")
	}
	return name
}

// named gives what Ref answers for a name. That the name exists was checked before.
func (r *resolver) named(name string, at Position) Value {
	if v, ok := r.params[name]; ok {
		v.At = at
		return v
	}
	if v, ok := r.pseudo(name, at); ok {
		return v
	}
	owner, typ, ok := r.owner(name)
	if !ok {
		return Value{At: at, Unknown: invalid}
	}
	if !r.reach(name, owner, at) {
		return Value{At: at, Unknown: invalid}
	}
	if r.in.Ref != nil {
		if v, ok := r.in.Ref(name, typ); ok {
			v.At = at
			return v
		}
	}
	return later(at, name)
}

// attribute evaluates Fn::GetAtt: [id, attribute], or "id.attribute".
func (r *resolver) attribute(arg Value) Value {
	id, attr := arg, Value{}
	if name, rest, ok := strings.Cut(arg.Text, "."); arg.Kind == String && ok {
		id.Text, attr = name, Value{Kind: String, Text: rest, At: arg.At}
	} else {
		args, ok := r.args(arg, 2, 2)
		if !ok {
			return Value{At: arg.At, Unknown: invalid}
		}
		id, attr = args[0], r.scalar(args[1])
		if id.Kind != String {
			id = r.computed(id, "Fn::GetAtt takes the name of a resource")
			if _, _, ok := r.owner(id.Text); !ok && id.Unknown == "" {
				r.unknown(args[0], id.Text)
			}
		}
	}
	if attr.Unknown != "" {
		return r.fail(attr.At, "", "the name of the attribute is not known before deployment")
	}
	if attr.Secret {
		return r.fail(attr.At, "write it out", "a NoEcho parameter cannot name an attribute")
	}
	return r.attributeOf(id.Text, attr.Text, arg.At)
}

func (r *resolver) attributeOf(id, attr string, at Position) Value {
	owner, typ, ok := r.owner(id)
	if !ok || !r.reach(id, owner, at) {
		return Value{At: at, Unknown: invalid}
	}
	if r.in.Attribute != nil {
		if v, ok := r.in.Attribute(id, typ, attr); ok {
			v.At = at
			return v
		}
	}
	return later(at, id+"."+attr)
}

// reach notes that the resource at hand needs owner, and refuses what is not there.
func (r *resolver) reach(name, owner string, at Position) bool {
	if r.deciding {
		r.problem(at, "use a parameter", "%s is a resource, and conditions are decided before there are any", name)
		return false
	}
	if owner == "" {
		return true
	}
	if !r.resources[owner].here {
		r.problem(at, "choose with Fn::If", "the condition of %s does not hold, so it cannot be referred to", owner)
		return false
	}
	if r.deps != nil && (owner == name || owner != r.path[1]) {
		r.deps[owner] = r.deps[owner] || !r.soft
	}
	return true
}

// pseudo gives a pseudo parameter.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html
func (r *resolver) pseudo(name string, at Position) (Value, bool) {
	text := ""
	switch name {
	case "AWS::AccountId":
		text = r.in.Account
	case "AWS::Region":
		text = r.in.Region
	case "AWS::StackName":
		text = r.in.StackName
	case "AWS::Partition":
		text = r.in.Partition
	case "AWS::URLSuffix":
		text = map[string]string{"aws": "amazonaws.com", "aws-us-gov": "amazonaws.com", "aws-cn": "amazonaws.com.cn"}[r.in.Partition]
	case "AWS::StackId":
		text = r.stackID()
	case "AWS::NotificationARNs":
		return Value{Kind: List, At: at}, true
	case "AWS::NoValue":
		return r.fail(at, "use Ref", "AWS::NoValue has no text"), true
	default:
		return Value{}, false
	}
	if text == "" {
		return later(at, name), true
	}
	return Value{Kind: String, Text: text, At: at}, true
}

// stackID makes the id of the stack: the same for the same name, region and account, so that names made of it last.
func (r *resolver) stackID() string {
	if r.in.StackName == "" || r.in.Region == "" || r.in.Account == "" || r.in.Partition == "" {
		return ""
	}
	h := sha256.Sum256([]byte(r.in.Partition + "\n" + r.in.Region + "\n" + r.in.Account + "\n" + r.in.StackName))
	return fmt.Sprintf("arn:%s:cloudformation:%s:%s:stack/%s/%x-%x-%x-%x-%x",
		r.in.Partition, r.in.Region, r.in.Account, r.in.StackName, h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// choose evaluates Fn::If. Only the branch that is taken is resolved.
func (r *resolver) choose(arg Value) (Value, bool) {
	args, ok := r.args(arg, 3, 3)
	if !ok {
		return Value{At: arg.At, Unknown: invalid}, true
	}
	branch := 2
	if r.decide(args[0].Text, args[0].At) {
		branch = 1
	}
	r.down(strconv.Itoa(branch))
	defer r.up(1)
	return r.value(args[branch])
}

func (r *resolver) join(arg Value) Value {
	args, ok := r.args(arg, 2, 2)
	if !ok {
		return Value{At: arg.At, Unknown: invalid}
	}
	by, list := r.scalar(args[0]), r.scalars(args[1])
	if list.Kind != List || by.Unknown != "" {
		return made(arg.At, list.Text, by, list)
	}
	texts, size := make([]string, len(list.List)), 0
	for i, x := range list.List {
		texts[i] = x.Text
		size += len(x.Text) + len(by.Text)
	}
	if !r.room(arg.At, size) {
		return Value{At: arg.At, Unknown: invalid}
	}
	return made(arg.At, strings.Join(texts, by.Text), slices.Concat(list.List, []Value{by})...)
}

func (r *resolver) split(arg Value) Value {
	args, ok := r.args(arg, 2, 2)
	if !ok {
		return Value{At: arg.At, Unknown: invalid}
	}
	by, s := r.scalar(args[0]), r.scalar(args[1])
	switch {
	case by.Unknown != "" || s.Unknown != "":
		return made(arg.At, s.Text, by, s)
	case by.Text == "":
		return r.fail(by.At, "", "the delimiter is empty")
	}
	out := Value{Kind: List, At: arg.At}
	if r.steps += strings.Count(s.Text, by.Text); r.steps > maxSteps {
		return r.fail(arg.At, "make the template smaller", "the text has too many parts")
	}
	for _, part := range strings.Split(s.Text, by.Text) {
		out.List = append(out.List, made(arg.At, part, by, s))
	}
	return out
}

func (r *resolver) pick(arg Value) Value {
	args, ok := r.args(arg, 2, 2)
	if !ok {
		return Value{At: arg.At, Unknown: invalid}
	}
	index, list := r.scalar(args[0]), r.scalars(args[1])
	if list.Kind != List || index.Unknown != "" {
		return made(arg.At, list.Text, index, list)
	}
	n, err := strconv.Atoi(index.Text)
	if err != nil || n < 0 || n >= len(list.List) {
		return r.fail(args[0].At, "", "the index %s is none of this list of %d", index.Quoted(), len(list.List))
	}
	return list.List[n]
}

func (r *resolver) base64(arg Value) Value {
	v := r.scalar(arg)
	if v.Unknown != "" || !r.room(arg.At, 2*len(v.Text)) {
		return v
	}
	return made(arg.At, base64.StdEncoding.EncodeToString([]byte(v.Text)), v)
}

func (r *resolver) imported(arg Value) Value {
	name := r.scalar(arg)
	switch {
	case name.Unknown != "":
		return made(arg.At, name.Text, name)
	case r.deciding:
		return r.fail(arg.At, "use a parameter", "conditions are decided before anything is imported")
	case r.in.Exports == nil:
		return later(arg.At, "Fn::ImportValue "+name.Quoted())
	}
	text, ok := r.in.Exports[name.Text]
	if !ok {
		return r.fail(arg.At, "deploy what exports it first", "nothing exports %s", name.Quoted())
	}
	r.imports[name.Text] = true
	return made(arg.At, text, name)
}

// zones evaluates Fn::GetAZs: the first three zones of the region, by their names.
func (r *resolver) zones(arg Value) Value {
	region := r.scalar(arg)
	if region.Text == "" && region.Unknown == "" {
		region, _ = r.pseudo("AWS::Region", arg.At)
	}
	if region.Unknown != "" {
		return region
	}
	out := Value{Kind: List, At: arg.At}
	for _, zone := range []string{"a", "b", "c"} {
		out.List = append(out.List, made(arg.At, region.Text+zone, region))
	}
	return out
}
