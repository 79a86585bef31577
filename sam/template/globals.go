package template

import (
	"slices"
	"strings"
)

// globalProperties are the sections of Globals and what each may set.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html
func globalProperties() map[string][]string {
	return map[string][]string{
		"Function": strings.Fields("Handler Runtime CodeUri DeadLetterQueue Description MemorySize Timeout VpcConfig Environment " +
			"Tags PropagateTags Tracing KmsKeyArn AutoPublishAlias AutoPublishAliasAllProperties Layers DeploymentPreference " +
			"RolePath PermissionsBoundary ReservedConcurrentExecutions ProvisionedConcurrencyConfig AssumeRolePolicyDocument " +
			"EventInvokeConfig FileSystemConfigs CodeSigningConfigArn Architectures SnapStart EphemeralStorage FunctionUrlConfig " +
			"RuntimeManagementConfig LoggingConfig RecursiveLoop SourceKMSKeyArn TenancyConfig DurableConfig " +
			"CapacityProviderConfig FunctionScalingConfig PublishToLatestPublished VersionDeletionPolicy"),
		"Api": strings.Fields("Auth Name DefinitionUri CacheClusterEnabled CacheClusterSize MergeDefinitions Variables " +
			"EndpointConfiguration MethodSettings BinaryMediaTypes MinimumCompressionSize Cors GatewayResponses " +
			"AccessLogSetting CanarySetting TracingEnabled OpenApiVersion Domain AlwaysDeploy PropagateTags SecurityPolicy " +
			"EndpointAccessMode"),
		"HttpApi": strings.Fields("Auth AccessLogSettings StageVariables Tags CorsConfiguration DefaultRouteSettings Domain " +
			"RouteSettings FailOnWarnings PropagateTags"),
		"SimpleTable":  {"SSESpecification"},
		"StateMachine": {"PropagateTags"},
		"LayerVersion": {"PublishLambdaVersion"},
		"CapacityProvider": strings.Fields("VpcConfig OperatorRole Tags InstanceRequirements ScalingConfig KmsKeyArn " +
			"PropagateTags"),
		"WebSocketApi": strings.Fields("AccessLogSettings ApiKeySelectionExpression DefaultRouteSettings " +
			"DisableExecuteApiEndpoint DisableSchemaValidation Domain FailOnWarnings IpAddressType PropagateTags " +
			"RouteSelectionExpression RouteSettings StageVariables Tags"),
	}
}

// globals checks the Globals section and gives what merges it into the properties of a resource, before any function
// is evaluated, as SAM does.
func (r *resolver) globals() func(*declared) Value {
	supported := globalProperties()
	for _, section := range r.t.globals.Members {
		path := "Globals/" + section.Key
		names, ok := supported[section.Key]
		if !ok {
			r.found.Add(section.KeyAt, path, Nearest(section.Key, sortedKeys(supported)), "Globals has no section %s", section.Key)
			continue
		}
		if section.Value.Kind != Map {
			r.found.Add(section.Value.At, path, "", "a mapping is wanted here, this is %s", section.Value.Kind)
		}
		for _, m := range section.Value.Members {
			if !slices.Contains(names, m.Key) {
				r.found.Add(m.KeyAt, path+"/"+m.Key, Nearest(m.Key, names), "Globals cannot set %s of %s", m.Key, section.Key)
			}
		}
	}
	return func(d *declared) Value {
		own, _ := d.Value.Get("Properties")
		kind, sam := strings.CutPrefix(d.typ, "AWS::Serverless::")
		all, ok := r.t.globals.Get(kind)
		if !sam || !ok {
			return own
		}
		all = r.without(d, all)
		if own.Kind == Null && own.At.Line == 0 {
			own = Value{Kind: Map, At: d.Value.At}
		}
		return merged(all, own)
	}
}

// without leaves out of Globals what a resource ignores.
func (r *resolver) without(d *declared, all Value) Value {
	ignore, ok := d.Value.Get("IgnoreGlobals")
	if !ok {
		return all
	}
	if ignore.Kind == String && ignore.Text == "*" {
		return Value{Kind: Map, At: all.At}
	}
	if ignore.Kind != List {
		r.found.Add(ignore.At, "Resources/"+d.Key+"/IgnoreGlobals", "", `"*" or a list of properties is wanted here`)
	}
	out := Value{Kind: Map, At: all.At, Members: slices.Clone(all.Members)}
	for _, x := range ignore.List {
		if _, ok := all.Get(x.Text); !ok {
			r.found.Add(x.At, "Resources/"+d.Key+"/IgnoreGlobals", nearestKey(x, all), "Globals do not set %s", x.Quoted())
		}
		out.Members = slices.DeleteFunc(out.Members, func(m Member) bool { return m.Key == x.Text })
	}
	return out
}

// merged lays own over global: a scalar, a function or another kind replaces, mappings merge, lists follow each other.
func merged(global, own Value) Value {
	switch {
	case isCall(global) || isCall(own) || global.Kind != own.Kind:
		return own
	case own.Kind == List:
		return Value{Kind: List, At: own.At, List: slices.Concat(global.List, own.List)}
	case own.Kind != Map:
		return own
	}
	out := Value{Kind: Map, At: own.At, Members: slices.Clone(global.Members)}
	for _, m := range own.Members {
		i := slices.IndexFunc(out.Members, func(g Member) bool { return g.Key == m.Key })
		if i < 0 {
			out.Members = append(out.Members, m)
			continue
		}
		out.Members[i] = Member{m.Key, m.KeyAt, merged(out.Members[i].Value, m.Value)}
	}
	return out
}

// isCall reports whether v is one function call as SAM recognises it.
func isCall(v Value) bool {
	return v.Kind == Map && len(v.Members) == 1 && (isFunction(v.Members[0].Key) || v.Members[0].Key == "Condition")
}
