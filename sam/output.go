package sam

import (
	"regexp"
	"strings"
)

// Address says where a node is, for the outputs of a stack. Empty parts are not known.
type Address struct {
	HTTP   string // where routes are: https://node.example:8443
	Domain string // of function URLs: lambda-url.localhost
	AWS    string // where AWS clients are answered
}

// URL is the address of the function URL with this id.
func (a Address) URL(id string) string {
	scheme, host, ok := strings.Cut(a.HTTP, "://")
	if !ok || a.Domain == "" {
		return ""
	}
	port := ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		port = host[i:]
	}
	return scheme + "://" + id + "." + a.Domain + port + "/"
}

// Output is one output of a stack with the addresses of this node in the place of AWS's.
type Output struct {
	Name        string `json:"name"`
	Value       string `json:"value"`
	Export      string `json:"export,omitempty"`
	Description string `json:"description,omitempty"`
}

// apiAddress is that of an API on AWS, with its stage.
var apiAddress = regexp.MustCompile(`https://(a[0-9a-f]{9})\.execute-api\.[a-z0-9-]+\.amazonaws\.com(/[^/]*)?`)

var queueAddress = regexp.MustCompile(`https://sqs\.[a-z0-9-]+\.amazonaws\.com`)

// Shown are the outputs as a person reads them: what names an API or a queue of the stack on AWS names this node. What is secret, or
// not known, is not shown.
func (t *Translation) Shown(at Address) (out []Output) {
	for _, o := range t.Outputs {
		x := Output{Name: o.Name, Export: o.Export, Description: o.Description, Value: o.Value.Text}
		switch {
		case o.Value.Secret:
			x.Value = "****"
		case o.Value.Unknown != "":
			x.Value = "not served yet: " + o.Value.Unknown
		default:
			x.Value = t.here(x.Value, at)
		}
		out = append(out, x)
	}
	return out
}

func (t *Translation) here(s string, at Address) string {
	if at.HTTP != "" {
		s = apiAddress.ReplaceAllStringFunc(s, func(found string) string {
			m := apiAddress.FindStringSubmatch(found)
			stage, mine := t.APIs[m[1]]
			switch {
			case !mine:
				return found
			case strings.TrimPrefix(m[2], "/") == stage:
				return at.HTTP // routes stand at the root, not below the stage
			}
			return at.HTTP + m[2]
		})
	}
	if at.AWS != "" {
		s = queueAddress.ReplaceAllString(s, strings.TrimSuffix(at.AWS, "/"))
	}
	return s
}
