package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"casemate"
	"casemate/policy/condition"
)

// Grant reads the short form of a statement, as `casemate.yaml` has it: a verb and what it is about, "deny " in front for
// the opposite. The verbs and their objects are those of Verbs. Place and app complete the ARNs; origin is where the text
// was written. An unknown verb or a malformed object is an *casemate.Error of code Invalid that lists the forms of its verb.
//
//	call POST /orders, call GET /orders/{id}, call *
//	invoke price
//	read table/orders, write bucket/photos, read secret/db, read parameter/app/*
//	send queue/jobs, publish topic/news
//	connect api.stripe.com:443, connect *.example.com:443, connect 10.0.0.0/8:5432, connect [fd00::/8]:5432
//	admin Deploy
//
// Where a name is, call, read, write, send, receive and publish take a variable as a whole segment, which stands for a value
// of the caller: read table/orders/${jwt:sub}/*, call GET /orders/${jwt:sub}. A value is one name, whatever it holds; without
// one the grant allows nothing, and a deny denies every name.
func Grant(place casemate.Place, app, text, origin string) (casemate.Statement, error) {
	effect, rest := casemate.Allow, text
	if after, ok := strings.CutPrefix(rest, "deny "); ok {
		effect, rest = casemate.Deny, after
	}
	verb, object, _ := strings.Cut(rest, " ")
	s := casemate.Statement{Effect: effect, Origin: strings.TrimSpace(fmt.Sprintf("%s grant %q", origin, text))}
	if len(text) > maxName || object != strings.TrimSpace(object) || !utf8.ValidString(text) ||
		strings.ContainsFunc(withoutVariables(text), isOdd) {
		return casemate.Statement{}, grantError(text, "one space goes between the words, and no control character anywhere; a $ begins a variable, as ${jwt:sub}")
	}
	if strings.Contains(strings.ToLower(text), "${path:") {
		return casemate.Statement{}, grantError(text, "the path is the caller's to choose: name a value of the caller, as ${jwt:sub}, or {id} for any")
	}
	g := granter{place: place, app: app}
	if err := g.fill(&s, verb, object); err != nil {
		return casemate.Statement{}, grantError(text, "%v", err)
	}
	if err := check(&s); err != nil {
		return casemate.Statement{}, grantError(text, "%v", err)
	}
	return s, nil
}

// isOdd reports what no grant may hold outside of a variable: control characters, a dollar sign.
func isOdd(r rune) bool { return r < ' ' || r == '$' || r == 0x7f }

// isVariable reports a whole segment that is one variable with no default: ${jwt:sub}, ${aws:username}, ${aws:PrincipalTag/team}.
func isVariable(s string) bool {
	p, err := condition.Parse(s, true)
	return err == nil && p.Variable() && !strings.ContainsAny(s, ", ")
}

// splitName cuts at slashes, but not at those in a variable's own name: ${aws:PrincipalTag/team}.
func splitName(text string) (segments []string) {
	from, inside := 0, false
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			inside = true
		case text[i] == '}':
			inside = false
		case text[i] == '/' && !inside:
			segments, from = append(segments, text[from:i]), i+1
		}
	}
	return append(segments, text[from:])
}

// withoutVariables is a grant's text with an x for every variable in it, so that the rest can be looked at.
func withoutVariables(text string) string {
	for from := 0; ; {
		i := strings.Index(text[from:], "${")
		if i < 0 {
			return text
		}
		i += from
		end := strings.IndexByte(text[i:], '}')
		if end < 0 || !isVariable(text[i:i+end+1]) {
			return text
		}
		text = text[:i] + "x" + text[i+end+1:]
		from = i + 1
	}
}

// grantError quotes the text: it is the operator's own, from a manifest.
func grantError(text, format string, args ...any) error {
	e := casemate.Errorf(casemate.Invalid, "known grants: "+strings.Join(formsLike(text), ", "), format, args...)
	e.Message = fmt.Sprintf("grant %q: %s", text, e.Message)
	e.Field = "grants"
	return e
}

// formsLike are the forms of the verb that a text begins with; all, when there is no such verb.
func formsLike(text string) []string {
	verb, _, _ := strings.Cut(strings.TrimPrefix(text, "deny "), " ")
	all := Verbs()
	if same := slices.DeleteFunc(slices.Clone(all), func(form string) bool { return !strings.HasPrefix(form, verb+" ") }); len(same) > 0 {
		return same
	}
	return all
}

// Verbs lists the forms of grants, for messages and completion.
func Verbs() []string {
	verbs := []string{"call METHOD /path/{param}", "call *", "invoke FUNCTION", "connect HOST:PORT", "connect NETWORK/BITS:PORT", "admin OPERATION"}
	for _, r := range resourceVerbs() {
		verbs = append(verbs, r.verb+" "+r.object+"/NAME")
	}
	return verbs
}

// granter completes names to ARNs.
type granter struct {
	place casemate.Place
	app   string
}

// fill writes Action, Resource and Condition for a verb and its object.
func (g granter) fill(s *casemate.Statement, verb, object string) error {
	switch verb {
	case "call":
		return g.call(s, object)
	case "invoke":
		return g.invoke(s, object)
	case "connect":
		return g.connect(s, object)
	case "admin":
		return g.admin(s, object)
	}
	return g.resource(s, verb, object)
}

// callMethods stand for ANY. A star would also match a slash, and with it the start of another path.
var callMethods = [...]string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

// call grants routes of the app. Paths with parameters need a Condition beside the Resource (pathPattern).
func (g granter) call(s *casemate.Statement, object string) error {
	s.Action = []string{"execute-api:Invoke"}
	if g.app == "" || !isName(g.app, "-_") {
		return fmt.Errorf("the app has no name that fits an ARN")
	}
	if object == "*" {
		s.Resource = []string{g.place.RouteARN(g.app, "*", "*")}
		return nil
	}
	method, path, _ := strings.Cut(object, " ")
	methods := []string{method}
	if method == "ANY" || method == "*" {
		methods = callMethods[:]
	}
	if method != strings.ToUpper(method) || method != "*" && !isName(method, "-") {
		return fmt.Errorf("%q is no HTTP method in capitals", method)
	}
	glob, bound, err := pathPattern(path)
	if err != nil {
		return err
	}
	var beyond []string
	for _, m := range methods {
		s.Resource = append(s.Resource, g.place.RouteARN(g.app, m, glob))
		if bound != "" {
			beyond = append(beyond, g.place.RouteARN(g.app, m, bound))
		}
	}
	if beyond != nil {
		s.Condition = map[string]map[string][]string{"StringNotLike": {"casemate:Resource": beyond}}
	}
	return nil
}

// pathPattern turns a route's path into a glob. A star also matches slashes, so a path with {name} comes with the glob of
// what is too long for it: {id} is one segment and no more. {name+} at the end is any number of them.
func pathPattern(path string) (glob, beyond string, err error) {
	segments := splitName(path)
	if segments[0] != "" || len(segments) < 2 {
		return "", "", fmt.Errorf("the path %q does not start with a slash", path)
	}
	segments = segments[1:]
	params, greedy := 0, false
	for i, seg := range segments {
		switch {
		case isVariable(seg):
		case seg == "*" || strings.HasPrefix(seg, "{") && strings.HasSuffix(seg, "+}") && isName(seg[1:len(seg)-2], "-_."):
			if i != len(segments)-1 {
				return "", "", fmt.Errorf("%s takes the rest of the path: it goes last", seg)
			}
			segments[i], greedy = "*", true
		case strings.HasPrefix(seg, "{") && strings.HasSuffix(seg, "}") && isName(seg[1:len(seg)-1], "-_."):
			segments[i] = "*"
			params++
		case strings.ContainsAny(seg, "*?{} "):
			return "", "", fmt.Errorf("the segment %q is neither plain text nor {name} nor ${variable} nor a last {name+}", seg)
		case seg == "." || seg == "..":
			return "", "", fmt.Errorf("the path %q climbs", path)
		}
	}
	glob = "/" + strings.Join(segments, "/")
	if params == 0 {
		return glob, "", nil
	}
	if greedy {
		return "", "", fmt.Errorf("{name} before a last {name+} cannot be held to one segment: write an IAM statement")
	}
	return glob, strings.Repeat("/*", len(segments)+1), nil
}

// invoke grants a function by name, in every version and under every alias, by its API and by its URL.
func (g granter) invoke(s *casemate.Statement, name string) error {
	s.Action = []string{"lambda:InvokeFunction", "lambda:InvokeFunctionUrl"}
	if name != "*" && !isName(name, "-_") {
		return fmt.Errorf("%q is no name of a function", name)
	}
	arn := g.place.FunctionARN(name)
	s.Resource = []string{arn, arn + ":*"} // unqualified, and each version and alias
	return nil
}

// connect grants one port of one host, of the hosts one label below a domain, or of the addresses of a network. A star
// alone, or as port, has no short form: who wants that writes it out.
func (g granter) connect(s *casemate.Statement, object string) error {
	at := strings.LastIndexByte(object, ':')
	if at < 0 || !isPort(object[at+1:]) {
		return fmt.Errorf("%q is not HOST:PORT, like api.stripe.com:443 or *.example.com:443", object)
	}
	host, port := strings.ToLower(object[:at]), object[at:]
	s.Action = []string{"casemate:Connect"}
	if strings.Contains(host, "/") {
		network, err := readNetwork(host)
		if err != nil {
			return err
		}
		s.Resource = []string{g.place.PlatformARN("host", "*"+port)}
		s.Condition = map[string]map[string][]string{"IpAddress": {"casemate:Address": {network.String()}}}
		return nil
	}
	domain, wild := strings.CutPrefix(host, "*.")
	switch {
	case isAddress(domain):
		return fmt.Errorf("%q is an address: grant a network with its length, like 10.1.2.3/32%s or [fd00::1/128]%s", host, port, port)
	case !isHost(domain) || wild && !strings.Contains(domain, "."):
		return fmt.Errorf("%q is not HOST:PORT, like api.stripe.com:443 or *.example.com:443", object)
	}
	s.Resource = []string{g.place.PlatformARN("host", host+port)}
	if wild { // a star also matches dots: what is two labels deep is taken out again
		s.Condition = map[string]map[string][]string{"StringNotLike": {"casemate:Resource": {g.place.PlatformARN("host", "*."+host+port)}}}
	}
	return nil
}

// Shortest prefixes of a network that has a short form: a tenth of the Internet is no grant but an open door.
const (
	shortest4 = 8
	shortest6 = 7 // all unique local addresses (RFC 4193)
)

// readNetwork reads a prefix, an IPv6 one in brackets. Bits below the length must be zero: one network, one spelling.
func readNetwork(text string) (netip.Prefix, error) {
	inner, v6 := strings.CutPrefix(text, "[")
	if v6 {
		inner = strings.TrimSuffix(inner, "]")
	}
	p, err := netip.ParsePrefix(inner)
	switch {
	case err != nil, p.Addr().Is4In6(), p.Addr().Is6() != v6, v6 && text != "["+inner+"]":
		return p, fmt.Errorf("%q is no network, like 10.0.0.0/8 or [fd00::/8]", text)
	case p != p.Masked():
		return p, fmt.Errorf("%q has bits set beyond its length: did you mean %v or %v", text, p.Masked(), netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
	case v6 && p.Bits() < shortest6, !v6 && p.Bits() < shortest4:
		return p, fmt.Errorf("%q is too wide for a grant", text)
	}
	return p, nil
}

// isAddress reports what some program reads as an IP address and no resolver as a name: a last label that is a number
// (https://url.spec.whatwg.org/#ends-in-a-number-checker), a colon or a bracket.
func isAddress(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	_, err := strconv.ParseUint(strings.TrimPrefix(last, "0x"), 16, 64)
	digit := last != "" && last[0] >= '0' && last[0] <= '9'
	return strings.ContainsAny(host, ":[]") || digit && (err == nil && strings.HasPrefix(last, "0x") || strings.Trim(last, "0123456789") == "" || last == "0x")
}

// isPort reads 1 to 65535, written the one way.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && s[0] != '0' && s[0] != '+'
}

// isHost reports a DNS name (RFC 1123, with underscores). It never ends in a dot: one name, one spelling.
func isHost(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || !isName(label, "-_") {
			return false
		}
	}
	return true
}

// isName reports whether s is made of ASCII letters, digits and the other bytes given, and is not empty.
func isName(s, others string) bool {
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune(others, c)) {
			return false
		}
	}
	return s != ""
}

// admin grants operations of the platform, on all that is the platform's. Outside hosts are not, nor objects of apps: connect,
// read and write grant those.
func (g granter) admin(s *casemate.Statement, operation string) error {
	if !isName(operation, "-_.*") || strings.EqualFold(operation, "connect") {
		return fmt.Errorf("%q is no operation, like Deploy, CreateKey, List* or *", operation)
	}
	s.Action = []string{"casemate:" + operation}
	all := "arn:aws:casemate:" + g.place.Region + ":" + g.place.Account + ":"
	s.Resource = []string{all + "*"}
	s.Condition = map[string]map[string][]string{"StringNotLike": {"casemate:Resource": {all + "host/*", all + "object/*"}}}
	return nil
}

// resourceVerb is one line of the table of verbs on named things. Names in its ARNs replace NAME.
type resourceVerb struct {
	verb, object string
	actions      []string
	arns         []string // after arn:aws:, with R for region and A for account
}

// resourceVerbs is the table. An entry holds what its verb says and no administration: nobody deletes a table with "write".
func resourceVerbs() []resourceVerb {
	return []resourceVerb{
		{"read", "table", []string{"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan",
			"dynamodb:ConditionCheckItem", "dynamodb:DescribeTable"}, []string{"dynamodb:R:A:table/NAME", "dynamodb:R:A:table/NAME/index/*"}},
		{"write", "table", []string{"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"},
			[]string{"dynamodb:R:A:table/NAME"}},
		{"read", "bucket", []string{"s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"}, []string{"s3:::NAME", "s3:::NAME/*"}},
		{"write", "bucket", []string{"s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"}, []string{"s3:::NAME/*"}},
		// Secrets Manager ends each ARN with six random characters
		// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html).
		{"read", "secret", []string{"secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"},
			[]string{"secretsmanager:R:A:secret:NAME", "secretsmanager:R:A:secret:NAME-??????"}},
		{"write", "secret", []string{"secretsmanager:PutSecretValue", "secretsmanager:UpdateSecret"},
			[]string{"secretsmanager:R:A:secret:NAME", "secretsmanager:R:A:secret:NAME-??????"}},
		{"read", "parameter", []string{"ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"}, []string{"ssm:R:A:parameter/NAME"}},
		{"write", "parameter", []string{"ssm:PutParameter", "ssm:DeleteParameter"}, []string{"ssm:R:A:parameter/NAME"}},
		{"send", "queue", []string{"sqs:SendMessage", "sqs:GetQueueUrl", "sqs:GetQueueAttributes"}, []string{"sqs:R:A:NAME"}},
		{"receive", "queue", []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility",
			"sqs:GetQueueUrl", "sqs:GetQueueAttributes"}, []string{"sqs:R:A:NAME"}},
		{"publish", "topic", []string{"sns:Publish"}, []string{"sns:R:A:NAME"}},
		{"read", "object", []string{"casemate:ReadObject"}, []string{"casemate:R:A:object/NAME"}},
		{"write", "object", []string{"casemate:WriteObject"}, []string{"casemate:R:A:object/NAME"}},
		{"publish", "bus", []string{"events:PutEvents"}, []string{"events:R:A:event-bus/NAME"}},
	}
}

// isPath reports a name in segments, each plain text or one variable; the last may be a star below a variable, for all that
// is that caller's.
func isPath(name string) bool {
	segments := splitName(name)
	if last := len(segments) - 1; last > 0 && segments[last] == "*" && slices.ContainsFunc(segments, isVariable) {
		segments = segments[:last]
	}
	return !slices.ContainsFunc(segments, func(s string) bool { return !isVariable(s) && (s == ".." || s != "" && !isName(s, "-_.")) }) && name != "" &&
		(isName(segments[0], "-_.") || isVariable(segments[0]) || segments[0] == "" && len(segments) > 1)
}

// resource grants a verb of the table on one named thing, or with * on all of the kind.
func (g granter) resource(s *casemate.Statement, verb, object string) error {
	kind, name, ok := strings.Cut(object, "/")
	var objects []string
	for _, r := range resourceVerbs() {
		if r.verb != verb {
			continue
		}
		objects = append(objects, r.object)
		if r.object != kind {
			continue
		}
		names := []string{name}
		if above, below := strings.CutSuffix(name, "/*"); below && kind == "parameter" {
			names, name = []string{above, name}, above // a hierarchy is read by its own name (GetParametersByPath)
		}
		if !ok || name != "*" && !isPath(name) {
			return fmt.Errorf("%q is no name of a %s", name, kind)
		}
		s.Action = r.actions
		for _, a := range r.arns {
			service, rest, _ := strings.Cut(a, ":")
			rest = strings.Replace(rest, "R:A:", g.place.Region+":"+g.place.Account+":", 1)
			for _, n := range names {
				s.Resource = append(s.Resource, "arn:aws:"+service+":"+strings.Replace(rest, "NAME", n, 1))
			}
		}
		return nil
	}
	if objects == nil {
		return fmt.Errorf("%q is no verb", verb)
	}
	return fmt.Errorf("%s goes with %s, not with %q", verb, strings.Join(objects, ", "), kind)
}
