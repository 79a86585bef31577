package sam

import (
	"slices"
	"strings"

	"casemate/sam/template"
)

// managed are the policies of AWS that functions use, by name, and what each allows
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html). An empty list: there is nothing to allow.
var managed = map[string][]string{
	"AWSLambdaBasicExecutionRole": {}, "AWSXRayDaemonWriteAccess": {}, "AWSXrayWriteOnlyAccess": {}, "AWSLambdaVPCAccessExecutionRole": {}, "CloudWatchLambdaInsightsExecutionRolePolicy": {},
	"AWSLambdaSQSQueueExecutionRole": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
	"AWSLambdaDynamoDBExecutionRole": {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"},
	"AWSLambdaKinesisExecutionRole":  {"kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards", "kinesis:ListStreams", "kinesis:SubscribeToShard"},
	"AWSLambdaRole":                  {"lambda:InvokeFunction"},
	"AmazonDynamoDBFullAccess":       {"dynamodb:*"}, "AmazonDynamoDBReadOnlyAccess": {"dynamodb:BatchGetItem", "dynamodb:Describe*", "dynamodb:Get*", "dynamodb:List*", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PartiQLSelect"},
	"AmazonS3FullAccess": {"s3:*"}, "AmazonS3ReadOnlyAccess": {"s3:Get*", "s3:List*", "s3:Describe*"}, "AmazonSQSFullAccess": {"sqs:*"}, "AmazonSNSFullAccess": {"sns:*"},
	"AmazonSSMReadOnlyAccess": {"ssm:Describe*", "ssm:Get*", "ssm:List*"}, "AWSLambda_FullAccess": {"lambda:*"}, "AWSLambda_ReadOnlyAccess": {"lambda:Get*", "lambda:List*"},
	"AmazonEventBridgeFullAccess": {"events:*"}, "AWSStepFunctionsFullAccess": {"states:*"}, "AmazonSESFullAccess": {"ses:*"}, "AmazonKinesisFullAccess": {"kinesis:*"},
}

// nowhere says what a managed policy without statements is about.
var nowhere = map[string]string{"AWSLambdaBasicExecutionRole": "logs are kept without a grant", "AWSLambdaVPCAccessExecutionRole": "there is no VPC to attach to"}

// trusted are the services that a role of a template may trust. A function's trusts Lambda; the others assume roles that have no
// meaning here, and what they would do is said where it is asked for.
const lambdaService = "lambda.amazonaws.com"

// policies translates the Policies of a serverless function: a list of names of managed policies, policy templates and statements.
func policies(t *translator, f *function, v template.Value, path string) {
	if given, ok := f.Properties.Get("Role"); ok && given.Kind != template.Null {
		t.note(Ignored, f.Type, v.At, path, "beside Role, AWS SAM takes no Policies either")
		return
	}
	list := v.List
	if v.Kind != template.List {
		list = []template.Value{v}
	}
	for i, p := range list {
		at := path
		if v.Kind == template.List {
			at = indexed(path, i)
		}
		t.policy(f, p, at)
	}
}

func (t *translator) policy(f *function, p template.Value, path string) {
	switch {
	case p.Unknown != "":
		t.bad(p.At, path, "write the statements into the template", "what the policy %s allows is not known here", p.Unknown)
	case p.Kind == template.String:
		t.managedPolicy(f, p, path)
	case p.Kind != template.Map:
		t.bad(p.At, path, "", "a policy is wanted here, this is %s", p.Kind)
	default:
		if _, ok := p.Get("Statement"); ok {
			t.document(f, p, path)
			return
		}
		if len(p.Members) != 1 {
			t.bad(p.At, path, "SQSSendMessagePolicy: {QueueName: ...}, or Statement: [...]", "this is neither a policy template nor a policy document")
			return
		}
		m := p.Members[0]
		made, found := t.stack.Policy(m, path)
		t.found = append(t.found, found...)
		if len(found) == 0 {
			t.document(f, made, path+"/"+m.Key)
		}
	}
}

// managedPolicy takes one of the template's own, or one of AWS's that is known.
func (t *translator) managedPolicy(f *function, p template.Value, path string) {
	if r := t.byARN(p, "AWS::IAM::ManagedPolicy"); r != nil {
		doc, _ := r.Properties.Get("PolicyDocument")
		t.document(f, doc, "Resources/"+r.ID+"/Properties/PolicyDocument")
		return
	}
	name := p.Text[strings.LastIndexByte(p.Text, '/')+1:]
	actions, ok := managed[name]
	if !ok {
		t.bad(p.At, path, template.Nearest(name, keys(managed))+"; write what it allows as statements into the template", "what the policy %q allows is not known here", name)
		return
	}
	why := nowhere[name]
	if len(actions) == 0 {
		if why == "" {
			why = "traces and metrics are taken without a grant"
		}
		t.note(Ignored, f.Type, p.At, path, "%s: %s", name, why)
		return
	}
	resource := texts(p.At, "*")
	if name == "AWSLambdaSQSQueueExecutionRole" { // AWS names every queue; those that are read are enough
		if resource = t.queuesOf(f, p.At); len(resource.List) == 0 {
			t.note(Ignored, f.Type, p.At, path, "%s: the function reads no queue", name)
			return
		}
	}
	s := mapping(p.At)
	set(s, "Effect", text(p.At, "Allow"))
	set(s, "Action", texts(p.At, actions...))
	set(s, "Resource", resource)
	f.statements = append(f.statements, *s)
}

// document adds the statements of a policy document.
func (t *translator) document(f *function, doc template.Value, path string) {
	for i, s := range statementsOf(doc) {
		at := path + "/Statement"
		if list, _ := doc.Get("Statement"); list.Kind == template.List {
			at = indexed(at, i)
		}
		if kept, ok := t.statement(f.Type, s, at); ok {
			f.statements = append(f.statements, kept)
		}
	}
}

func statementsOf(doc template.Value) []template.Value {
	s, ok := doc.Get("Statement")
	if ok && s.Kind != template.List {
		return []template.Value{s}
	}
	return s.List
}

// statement keeps what is known of an IAM statement. An Allow of what is not there yet allows nothing and is named; a Deny that cannot
// be evaluated is refused, because leaving it out would allow more.
func (t *translator) statement(typ string, s template.Value, path string) (template.Value, bool) {
	if s.Kind != template.Map {
		t.bad(s.At, path, `{Effect: Allow, Action: "sqs:SendMessage", Resource: ...}`, "a statement is wanted here, this is %s", s.Kind)
		return s, false
	}
	kept := mapping(s.At)
	effect, _ := s.Get("Effect")
	for _, m := range s.Members {
		x, waits := without(m.Value)
		if waits == "" {
			if m.Key == "Resource" || m.Key == "NotResource" {
				m.Value = t.secrets(m.Value)
			}
			kept.Members = append(kept.Members, m)
			continue
		}
		if effect.Text != "Allow" || strings.HasPrefix(m.Key, "Not") {
			t.bad(m.KeyAt, path+"/"+m.Key, "write the value out", "%s is not known here, and a statement that denies cannot be left out", waits)
			return s, false
		}
		if m.Key != "Resource" || x.Kind == template.Null || x.Kind == template.List && len(x.List) == 0 {
			t.note(NotServed, typ, s.At, path, "%s is not known here: the statement allows nothing", waits)
			return s, false
		}
		t.note(NotServed, typ, s.At, path, "%s is not known here: it is left out of the statement", waits)
		kept.Members = append(kept.Members, template.Member{Key: m.Key, KeyAt: m.KeyAt, Value: t.secrets(x)})
	}
	return *kept, true
}

// secrets adds to the resources of a statement what the ARNs of the template's secrets end in. On AWS Ref of a secret is its ARN with the six
// characters that are drawn when it is made
// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html); here it is not made yet.
func (t *translator) secrets(v template.Value) template.Value {
	const typ = "AWS::SecretsManager::Secret"
	list := v.List
	if v.Kind == template.String {
		list = []template.Value{v}
	}
	var drawn []template.Value
	for _, x := range list {
		if strings.HasPrefix(x.Text, "arn:") && t.byARN(x, typ) != nil {
			drawn = append(drawn, text(x.At, x.Text+"-??????"))
		}
	}
	if len(drawn) == 0 {
		return v
	}
	return template.Value{Kind: template.List, At: v.At, List: append(slices.Clone(list), drawn...)}
}

// without is a value less the elements of a list that are not known, and the name of one of those; a mapping is kept or not as a whole.
func without(v template.Value) (template.Value, string) {
	if v.Unknown != "" {
		return template.Value{}, v.Unknown
	}
	waits := ""
	out := v
	out.List = nil
	for _, x := range v.List {
		if kept, w := without(x); w == "" {
			out.List = append(out.List, kept)
		} else {
			waits = w
		}
	}
	for _, m := range v.Members {
		if _, w := without(m.Value); w != "" {
			return template.Value{}, w
		}
	}
	return out, waits
}

// role translates the Role of a function: one of the template.
func role(t *translator, f *function, v template.Value, path string) {
	if v.Unknown == "" && v.Kind == template.Null {
		return
	}
	r := t.byARN(v, "AWS::IAM::Role")
	if r == nil {
		m, _ := f.Metadata.Get("Casemate")
		_, grants := m.Get("grants")
		_, statements := m.Get("statements")
		if grants || statements {
			t.note(Weak, f.Type, v.At, path, "the role is not in the template: the function may what Metadata: Casemate grants")
			return
		}
		t.bad(v.At, path, "declare the role in the template, use Policies, or say what it may under Metadata: Casemate: grants", "what the role %s allows is not known here", v.Quoted())
		return
	}
	t.rights(f, r)
}

// rights gives a function what a role of the template allows.
func (t *translator) rights(f *function, r *template.Resource) {
	path := "Resources/" + r.ID + "/Properties"
	for _, m := range r.Properties.Members {
		at := path + "/" + m.Key
		switch m.Key {
		case "Policies":
			for i, p := range m.Value.List {
				doc, _ := p.Get("PolicyDocument")
				t.document(f, doc, indexed(at, i)+"/PolicyDocument")
			}
		case "ManagedPolicyArns":
			for i, p := range m.Value.List {
				t.policy(f, p, indexed(at, i))
			}
		case "PermissionsBoundary":
			boundary(t, f, m.Value, at)
		}
	}
	for _, id := range t.attached(r) {
		doc, _ := t.resources[id].Properties.Get("PolicyDocument")
		t.document(f, doc, "Resources/"+id+"/Properties/PolicyDocument")
	}
}

// attached lists the policies of the template that name a role.
func (t *translator) attached(r *template.Resource) (ids []string) {
	for i := range t.stack.Resources {
		p := &t.stack.Resources[i]
		if p.Type != "AWS::IAM::Policy" && p.Type != "AWS::IAM::ManagedPolicy" && p.Type != "AWS::IAM::RolePolicy" {
			continue
		}
		names, _ := p.Properties.Get("Roles")
		one, _ := p.Properties.Get("RoleName")
		for _, n := range append(names.List, one) {
			if n.Text == t.names.of(r.ID, r.Type) {
				ids = append(ids, p.ID)
			}
		}
	}
	return ids
}

// boundary takes a managed policy of the template; what another allows is not known.
func boundary(t *translator, f *function, v template.Value, path string) {
	r := t.byARN(v, "AWS::IAM::ManagedPolicy")
	if r == nil {
		t.bad(v.At, path, "declare it in the template as an AWS::IAM::ManagedPolicy", "what the boundary %s allows is not known here", v.Quoted())
		return
	}
	doc, _ := r.Properties.Get("PolicyDocument")
	for _, s := range statementsOf(doc) {
		if kept, ok := t.statement(r.Type, s, "Resources/"+r.ID+"/Properties/PolicyDocument/Statement"); ok {
			add(f.doc, "boundary", kept)
		}
	}
	if b, ok := f.doc.Get("boundary"); !ok || len(b.List) == 0 {
		t.bad(v.At, path, "", "the boundary has no statement that can be kept")
	}
}

// trust: a function's role is assumed by Lambda, and by nobody else.
func trust(t *translator, f *function, v template.Value, path string) {
	for _, s := range statementsOf(v) {
		who, _ := s.Get("Principal")
		service, _ := who.Get("Service")
		if len(who.Members) != 1 || !oneOf(service, lambdaService) {
			t.bad(s.At, path, "Principal: {Service: lambda.amazonaws.com}; who else may act as a role stands under Metadata: Casemate: roles", "a function's role is assumed by its function alone")
		}
	}
}

// oneOf reports whether v is that text, or a list that holds it and nothing but services.
func oneOf(v template.Value, want string) bool {
	if v.Kind != template.List {
		return v.Text == want
	}
	for _, x := range v.List {
		if x.Text == want {
			return true
		}
	}
	return false
}

// assumed translates who may assume a role of the template: Lambda needs no word, other services assume nothing here, and accounts,
// users and issuers are kept as the manifest's trust.
func (t *translator) assumed(r *template.Resource) {
	doc, _ := r.Properties.Get("AssumeRolePolicyDocument")
	path := "Resources/" + r.ID + "/Properties/AssumeRolePolicyDocument"
	var kept []template.Value
	lambda := false
	for _, s := range statementsOf(doc) {
		who, _ := s.Get("Principal")
		service, is := who.Get("Service")
		if is && oneOf(service, lambdaService) {
			lambda = true
		}
		if is && len(who.Members) == 1 {
			continue
		}
		if x, ok := t.statement(r.Type, s, path); ok {
			kept = append(kept, x)
		}
	}
	name := t.names.of(r.ID, r.Type)
	if len(kept) == 0 {
		class, why := Honoured, "role "+name+" of functions"
		if !lambda {
			class, why = Ignored, "no service here assumes a role"
		}
		t.note(class, r.Type, r.At, "Resources/"+r.ID, "%s", why)
		return
	}
	f := &function{Resource: r, name: name, doc: mapping(r.At)}
	t.rights(f, r)
	if len(f.statements) > 0 {
		add(f.doc, "statements", f.statements...)
	}
	add(f.doc, "trust", kept...)
	t.put("roles", name, *f.doc)
	t.note(Honoured, r.Type, r.At, "Resources/"+r.ID, "role %s", name)
}

// put sets one entry of a mapping of the manifest.
func (t *translator) put(section, name string, v template.Value) {
	all, _ := t.doc.Get(section)
	if all.Kind != template.Map {
		all = *mapping(v.At)
	}
	all.Members = append([]template.Member{}, all.Members...)
	set(&all, name, v)
	set(t.doc, section, all)
}
