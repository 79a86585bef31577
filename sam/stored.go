package sam

import (
	"encoding/json"
	"slices"
	"strings"

	"casemate/sam/template"
)

// Stored is a secret or a parameter that a template declares. Its value is in no manifest: it goes to the secret store alone.
type Stored struct {
	Secret      bool   // of Secrets Manager; otherwise of the parameter store
	Name        string // prod/db, /shop/Stage
	Type        string // of a parameter: String or StringList
	Description string
	Value       string
	Generate    *Generate // makes the value; nil: Value is it
	At          template.Position
	Path        string // in the template
}

// Generate draws the value of a secret, in the words of Secrets Manager's GetRandomPassword
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-secretsmanager-secret-generatesecretstring.html).
type Generate struct {
	Password json.RawMessage // question to GetRandomPassword
	Template string          // a JSON mapping that the password is put into; "" is the password alone
	Key      string          // its name there
}

// secret translates AWS::SecretsManager::Secret
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-secretsmanager-secret.html).
func (t *translator) secret(r *template.Resource) {
	s := Stored{Secret: true, Name: t.names.of(r.ID, r.Type), At: r.At, Path: "Resources/" + r.ID}
	path, ways := s.Path+"/Properties", 0
	for _, m := range r.Properties.Members {
		at := path + "/" + m.Key
		switch m.Key {
		case "Name":
		case "Description":
			s.Description = m.Value.Text
		case "Tags":
			t.note(Ignored, r.Type, m.KeyAt, at, "nothing here is found by tags")
		case "ReplicaRegions":
			t.note(NotServed, r.Type, m.KeyAt, at, "there is one node: nothing is replicated")
		case "KmsKeyId":
			if m.Value.Text != "alias/aws/secretsmanager" {
				t.bad(m.Value.At, at, "leave it out: secrets are encrypted under the node's own key", "the key cannot be used here")
			}
		case "SecretString":
			if ways++; !t.valued(&s, r, m.Value, at, "casemate secret set "+s.Name) {
				return
			}
		case "GenerateSecretString":
			ways++
			s.Generate = t.generate(m.Value, at)
		default:
			t.bad(m.KeyAt, at, template.Nearest(m.Key, []string{"SecretString", "GenerateSecretString", "Description", "Name"}), "%s has no such property", r.Type)
		}
	}
	switch {
	case ways > 1:
		t.bad(r.At, path, "one of them", "SecretString and GenerateSecretString stand side by side")
	case ways == 0: // as on AWS: a secret without a value
		t.note(NotServed, r.Type, r.At, s.Path, "it gets no value from the template: casemate secret set %s", s.Name)
	default:
		t.keep(s, r.Type)
	}
}

// parameter translates AWS::SSM::Parameter
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-ssm-parameter.html).
func (t *translator) parameter(r *template.Resource) {
	s := Stored{Name: t.names.of(r.ID, r.Type), Type: "String", At: r.At, Path: "Resources/" + r.ID}
	path, given := s.Path+"/Properties", false
	for _, m := range r.Properties.Members {
		at := path + "/" + m.Key
		switch m.Key {
		case "Name":
		case "Description":
			s.Description = m.Value.Text
		case "Type":
			if s.Type = m.Value.Text; s.Type != "String" && s.Type != "StringList" {
				t.bad(m.Value.At, at, "String or StringList; a secret is an AWS::SecretsManager::Secret", "%s is no type of a parameter", m.Value.Quoted())
			}
		case "Value":
			given = true
			if !t.valued(&s, r, m.Value, at, "casemate secret set "+s.Name+" --parameter") {
				return
			}
		case "AllowedPattern", "DataType", "Policies":
			t.note(NotServed, r.Type, m.KeyAt, at, "it is not kept with the parameter")
		case "Tier", "Tags":
			t.note(Ignored, r.Type, m.KeyAt, at, "parameters are of one kind here, and not found by tags")
		default:
			t.bad(m.KeyAt, at, template.Nearest(m.Key, []string{"Value", "Type", "Description", "Name"}), "%s has no such property", r.Type)
		}
	}
	if !given {
		t.bad(r.At, path, "Value: prod", "the parameter has no Value")
		return
	}
	t.keep(s, r.Type)
}

// valued takes the value of a secret or parameter; one that is not known here is said, with the command that sets it.
func (t *translator) valued(s *Stored, r *template.Resource, v template.Value, path, command string) bool {
	switch {
	case v.Unknown != "":
		t.note(NotServed, r.Type, v.At, path, "its value waits for what is not known here: %s", command)
		return false
	case s.Secret && v.Kind == template.Map: // a JSON mapping is taken for the text of one
		s.Value = string(v.JSON())
	case !v.Scalar() || v.Text == "":
		t.bad(v.At, path, "", "a text is wanted here, this is %s", v.Kind)
		return false
	default:
		s.Value = v.Text
	}
	if s.Secret && !v.Secret {
		t.note(Weak, r.Type, v.At, path, "the value stands in the template in clear: take it from a NoEcho parameter, or let GenerateSecretString make it")
	}
	return true
}

// generate reads a GenerateSecretString.
func (t *translator) generate(v template.Value, path string) *Generate {
	question, g := mapping(v.At), &Generate{}
	known := []string{"PasswordLength", "ExcludeCharacters", "ExcludeNumbers", "ExcludePunctuation", "ExcludeUppercase", "ExcludeLowercase", "IncludeSpace", "RequireEachIncludedType"}
	for _, m := range v.Members {
		at := path + "/" + m.Key
		if !t.wants(m.Value, at, template.String) {
			continue
		}
		switch {
		case m.Key == "SecretStringTemplate":
			g.Template = m.Value.Text
		case m.Key == "GenerateStringKey":
			g.Key = m.Value.Text
		case !slices.Contains(known, m.Key):
			t.bad(m.KeyAt, at, template.Nearest(m.Key, known), "there is no such property")
		case m.Key == "ExcludeCharacters":
			set(question, m.Key, text(m.Value.At, m.Value.Text))
		case m.Key == "PasswordLength":
			if n, ok := v.IntAt(m.Key, path, 1, 4096, &t.found); ok {
				set(question, m.Key, number(m.Value.At, n))
			}
		default:
			if on, ok := v.BoolAt(m.Key, path, &t.found); ok {
				set(question, m.Key, template.Value{Kind: template.Bool, Text: map[bool]string{true: "true", false: "false"}[on], At: m.Value.At})
			}
		}
	}
	var into map[string]any
	if (g.Template == "") != (g.Key == "") || g.Template != "" && json.Unmarshal([]byte(g.Template), &into) != nil {
		t.bad(v.At, path, `SecretStringTemplate: '{"username": "admin"}' and GenerateStringKey: password`, "the template of the secret is no JSON mapping, or has no key to put the password under")
	}
	g.Password = question.JSON()
	return g
}

// keep adds what the secret store gets; two things of one name are one too many.
func (t *translator) keep(s Stored, typ string) {
	for _, o := range t.stored {
		if o.Secret == s.Secret && strings.TrimPrefix(o.Name, "/") == strings.TrimPrefix(s.Name, "/") {
			t.bad(s.At, s.Path, "give it another Name", "%s is called %s as well", o.Path, s.Name)
		}
	}
	t.stored = append(t.stored, s)
	what := map[bool]string{true: "secret", false: "parameter"}[s.Secret]
	t.note(Honoured, typ, s.At, s.Path, "%s %s, kept by the node, encrypted; one that somebody else set stays as it is", what, s.Name)
}
