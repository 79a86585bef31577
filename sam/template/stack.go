package template

// Inputs is what a template does not say itself. A name left empty and a function left nil mean "not known": what
// depends on one is a Value with Unknown set, or a problem where a decision hangs on it.
type Inputs struct {
	Parameters                            map[string]string // by name, as a person types them: lists separated by commas
	Region, Account, StackName, Partition string
	Exports                               map[string]string // what Fn::ImportValue finds
	Kept                                  []string          // parameters that have a value, which is not known here
	// Ref gives what Ref answers for a resource, and Attribute what Fn::GetAtt does. They are also asked for what SAM
	// generates, by its logical id (ServerlessRestApi, OrdersRole) or its SAM name (Orders.Version): typ is then that of
	// the resource it belongs to, or "".
	Ref       func(id, typ string) (Value, bool)
	Attribute func(id, typ, attr string) (Value, bool)
	// Stored gives the value of a parameter of the parameter store, for the parameter types AWS::SSM::Parameter::Value.
	Stored func(name string) (string, bool)
}

// Stack is a template resolved: conditions decided, functions evaluated, Globals merged.
type Stack struct {
	Description string
	Transform   []string
	Resources   []Resource // those whose condition holds, each after what it depends on
	Outputs     []Output
	Parameters  []Parameter
	Metadata    Value // as it is written: CloudFormation resolves nothing here
	Warnings    Problems
	Imports     []string // names that Fn::ImportValue asked for, sorted

	in Inputs
}

// Resource is one resource. Type, Properties and Metadata are resolved.
type Resource struct {
	ID, Type                            string
	TypeAt                              Position
	Properties, Metadata, Connectors    Value
	DependsOn                           []string // all it depends on, by DependsOn or by reference, sorted
	DeletionPolicy, UpdateReplacePolicy string   // as CloudFormation names them; "" is the default of the type
	At                                  Position // of its logical id
}

// Output is one output. Export is "" when it is not exported.
type Output struct {
	Name        string
	Value       Value
	Export      string
	Description string
	At          Position
}

// Parameter is one parameter with the value it got.
type Parameter struct {
	Name, Type, Description string
	Value                   Value // of a parameter only declared its default; Null when it has none
	NoEcho                  bool  // the value is a secret: Value.Secret is set too
	Default                 bool  // the value is the template's default
	At                      Position
}
