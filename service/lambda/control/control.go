// Package control is Lambda's management API: functions, their code, configuration, versions, aliases and tags, as AWS's SDKs ask
// for them (https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html). What it changes is an edit of an app, which passes
// the checks of every deploy; functions that a manifest deployed are the same functions.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"casemate"
	"casemate/catalog"
)

// Bounds of requests: code comes in base64, and AWS takes 70,167,211 bytes of it
// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const (
	askBody  = 1 << 20
	codeBody = 70_167_211
	maxZip   = 50 << 20
	// maxUnzipped is what code and layers may unpack to, as catalog/code holds it.
	maxUnzipped = 250 << 20
)

// DefaultApp is the app of functions whose tags name none.
const DefaultApp = "lambda"

// Apps is the catalog as the management API sees it.
type Apps interface {
	Snapshot() *catalog.Snapshot
	// Edit changes an app in the name of l's caller, through every check of a deploy. lent says which borrowings of roles,
	// in deploy.Borrows's words, the policy has been asked about already.
	Edit(ctx context.Context, l *casemate.Launch, app string, lent []string, edit func(*catalog.App) error) error
	// Keep stores code and gives its digest.
	Keep(ctx context.Context, runtime casemate.Runtime, data []byte) (digest string, err error)
}

// Config is what the operations need; all of it.
type Config struct {
	Apps  Apps
	Place casemate.Place
	Clock func() time.Time
	Judge casemate.Judge
	// Architecture is what code has to be made for: "x86_64" or "arm64".
	Architecture string
	Installed    func(casemate.Runtime) bool // whether a runtime can run on this machine
	Others       []casemate.Operation        // of another room: their requests are held to Lambda's model as well

	Standing
}

// desk is the operations at work.
type desk struct {
	Config
	shapes shapes
	broken error // what is wrong with the table of shapes: our own mistake, which every request is refused for
}

// Operations are those that the API has here.
func Operations(c Config) []casemate.Operation {
	d := &desk{Config: c}
	d.shapes, d.broken = readShapes(shapeTable)
	list := d.operations()
	for _, o := range c.Others {
		list = append(list, d.held(o))
	}
	return list
}

// held is an operation whose request is looked at here first: what breaks the model is told in Lambda's words.
func (d *desk) held(o casemate.Operation) casemate.Operation {
	about := o.Resource
	o.Resource = func(place casemate.Place, body []byte) (string, error) {
		if d.broken != nil {
			return "", d.broken
		}
		if _, err := d.shapes.read(o.Name, body); err != nil {
			return "", err
		}
		return about(place, body)
	}
	return o
}

func (d *desk) operations() []casemate.Operation {
	return append(d.standing(), []casemate.Operation{
		onFunction(d, "GetFunction", askBody, d.getFunction),
		onFunction(d, "GetFunctionConfiguration", askBody, d.getConfiguration),
		onAll(d, "ListFunctions", d.listFunctions),
		onFunction(d, "CreateFunction", codeBody, d.createFunction),
		onFunction(d, "UpdateFunctionCode", codeBody, d.updateCode),
		onFunction(d, "UpdateFunctionConfiguration", askBody, d.updateConfiguration),
		onFunction(d, "DeleteFunction", askBody, d.deleteFunction),
		onFunction(d, "PublishVersion", askBody, d.publishVersion),
		onFunction(d, "ListVersionsByFunction", askBody, d.listVersions),
		onFunction(d, "CreateAlias", askBody, d.createAlias),
		onFunction(d, "UpdateAlias", askBody, d.updateAlias),
		onFunction(d, "GetAlias", askBody, d.getAlias),
		onFunction(d, "DeleteAlias", askBody, d.deleteAlias),
		onFunction(d, "ListAliases", askBody, d.listAliases),
		onFunction(d, "ListTags", askBody, d.listTags),
		onFunction(d, "TagResource", askBody, d.tag),
		onFunction(d, "UntagResource", askBody, d.untag),
	}...)
}

// target is a function as a request names it, in its path, in its query and in its body.
type target struct {
	FunctionName string
	Qualifier    string

	name string // without what stands around it
}

func (t *target) function() *target { return t }

// about is a request about one function.
type about[In any] interface {
	*In
	function() *target
}

// onFunction makes an operation on one function. The policy decides on the function as a whole, as AWS has it, whatever the
// qualifier.
func onFunction[In any, P about[In]](d *desk, name string, body int64, run func(ctx context.Context, l *casemate.Launch, in *In) (any, error)) casemate.Operation {
	read := func(place casemate.Place, body []byte) (*In, error) {
		in, err := decode[In](d, name, body)
		if err != nil {
			return nil, err
		}
		return in, P(in).function().settle(place)
	}
	return casemate.Operation{Service: "lambda", Name: name, Action: "lambda:" + name, Body: body,
		Resource: func(place casemate.Place, body []byte) (string, error) {
			in, err := read(place, body)
			if err != nil {
				return "", err
			}
			return place.FunctionARN(P(in).function().name), nil
		},
		Run: func(ctx context.Context, l *casemate.Launch) (any, error) {
			in, err := read(d.Place, l.Payload)
			if err != nil {
				return nil, err
			}
			return run(ctx, l, in)
		}}
}

// onAll makes an operation that is about no function: it is granted on all or not at all.
func onAll[In any](d *desk, name string, run func(ctx context.Context, l *casemate.Launch, in *In) (any, error)) casemate.Operation {
	return casemate.Operation{Service: "lambda", Name: name, Action: "lambda:" + name, Body: askBody,
		Resource: func(_ casemate.Place, body []byte) (string, error) {
			_, err := decode[In](d, name, body)
			return "*", err
		},
		Run: func(ctx context.Context, l *casemate.Launch) (any, error) {
			in, err := decode[In](d, name, l.Payload)
			if err != nil {
				return nil, err
			}
			return run(ctx, l, in)
		}}
}

// decode reads the question of an operation, held to its shape. Members that Lambda does not know are passed over, as it does;
// one that Lambda knows and the operation does not is refused: it would be a promise that nobody keeps.
func decode[In any](d *desk, operation string, body []byte) (*In, error) {
	if d.broken != nil {
		return nil, d.broken
	}
	known, err := d.shapes.read(operation, body)
	if err != nil {
		return nil, err
	}
	in, reader := new(In), json.NewDecoder(bytes.NewReader(known))
	reader.DisallowUnknownFields()
	if err := reader.Decode(in); err != nil {
		if name, strange := strings.CutPrefix(err.Error(), "json: unknown field "); strange {
			return nil, parameter("%s is not supported here", strings.Trim(name, `"`))
		}
		return nil, failure(casemate.Invalid, codeSerial, "a member of the request has another type than Lambda's")
	}
	return in, nil
}
