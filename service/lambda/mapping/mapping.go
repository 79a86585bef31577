// Package mapping is the part of Lambda's management API that connects queues with functions
// (https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html). What it changes is an edit of the function's
// app; what a manifest declares, its manifest alone changes.
package mapping

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/catalog"
	"casemate/pattern"
	"casemate/service/shape"
)

// Bounds of an event source mapping of a queue, as of Lambda.
const (
	askBody     = 64 << 10
	maxBatch    = 10_000
	maxFIFO     = 10
	maxWindow   = 300
	maxFilters  = 10
	minParallel = 2
	maxParallel = 1000
	maxItems    = 100
	codeInvalid = "InvalidParameterValueException"
	partial     = "ReportBatchItemFailures"
)

// Config is what the operations need; all of it.
type Config struct {
	Place    casemate.Place
	Clock    func() time.Time
	Snapshot func() *catalog.Snapshot
	// Edit changes an app in the name of l's caller, through every check of a deploy.
	Edit func(ctx context.Context, l *casemate.Launch, app string, edit func(*catalog.App) error) error
	// Connect and Disconnect write a mapping into an app, and take it away.
	Connect    func(a *catalog.App, m *casemate.Mapping)
	Disconnect func(a *catalog.App, id string)
	May        func(m *casemate.Mapping, action string) error         // what the function may do with the queue
	Queue      func(arn string) (visibility time.Duration, err error) // NotFound when there is none
	Status     func(id string) (state, result string, known bool)     // how it stands
}

type desk struct{ Config }

// Operations are the five of them.
func Operations(c Config) []casemate.Operation {
	d := &desk{c}
	return []casemate.Operation{
		d.create(), operation(d, "GetEventSourceMapping", one, d.get), operation(d, "ListEventSourceMappings", every, d.list),
		operation(d, "UpdateEventSourceMapping", one, d.update), operation(d, "DeleteEventSourceMapping", one, d.remove),
	}
}

func words() *shape.Service {
	return &shape.Service{Name: "lambda", Unknown: codeInvalid, Spoken: func(err error) error { return err }}
}

// in is a request for any of the five.
type in struct {
	UUID                           string
	EventSourceArn                 string
	FunctionName                   string
	Enabled                        *bool
	BatchSize                      *int
	MaximumBatchingWindowInSeconds *int
	FunctionResponseTypes          *[]string
	FilterCriteria                 *criteria
	ScalingConfig                  *scaling
	Marker                         string
	MaxItems                       *int
	Tags                           map[string]string
	StartingPosition               string // of a stream
}

type criteria struct{ Filters []filter }

type filter struct{ Pattern string }

type scaling struct{ MaximumConcurrency *int }

// out is a mapping as Lambda shows it.
type out struct {
	UUID                           string
	EventSourceArn                 string
	FunctionArn                    string
	EventSourceMappingArn          string
	BatchSize                      int
	MaximumBatchingWindowInSeconds int
	FunctionResponseTypes          []string
	FilterCriteria                 *criteria `json:",omitempty"`
	ScalingConfig                  *scaling  `json:",omitempty"`
	LastModified                   *shape.Moment
	State                          string
	StateTransitionReason          string
}

func operation(d *desk, name string, resource func(place casemate.Place, x *in) (string, error), run func(ctx context.Context, l *casemate.Launch, x *in) (any, error)) casemate.Operation {
	return shape.Operation(words(), name, askBody, resource, run)
}

func one(place casemate.Place, x *in) (string, error) {
	if x.UUID == "" || len(x.UUID) > 64 || strings.Trim(x.UUID, "0123456789abcdefABCDEF-") != "" {
		return "", missing()
	}
	return place.MappingARN(x.UUID), nil
}

func every(casemate.Place, *in) (string, error) { return "*", nil }

// create is about all mappings, as on AWS; which function it is for is a condition: lambda:FunctionArn.
func (d *desk) create() casemate.Operation {
	o := operation(d, "CreateEventSourceMapping", every, d.make)
	o.Context = func(body []byte) map[string][]string {
		x, err := shape.Decode[in](words(), body)
		if err != nil {
			return nil
		}
		name, _ := d.split(x.FunctionName)
		return map[string][]string{"lambda:functionarn": {d.Place.FunctionARN(name)}}
	}
	return o
}

func missing() error {
	return shape.Failure(casemate.NotFound, "ResourceNotFoundException", "The resource you requested does not exist.")
}

func invalid(message string) error { return shape.Failure(casemate.Invalid, codeInvalid, message) }

// split reads a function's name, with its qualifier, out of any of the ways to write it.
func (d *desk) split(text string) (name, qualifier string) {
	rest := strings.TrimPrefix(text, d.Place.FunctionARN(""))
	rest = strings.TrimPrefix(rest, d.Place.Account+":function:")
	name, qualifier, _ = strings.Cut(rest, ":")
	return name, qualifier
}

func (d *desk) find(id string) (*casemate.Mapping, error) {
	for _, m := range d.Snapshot().Mappings() {
		if strings.EqualFold(m.ID, id) {
			return m, nil
		}
	}
	return nil, missing()
}

func (d *desk) make(ctx context.Context, l *casemate.Launch, x *in) (any, error) {
	name, qualifier := d.split(x.FunctionName)
	app := d.Snapshot().Owner(name)
	switch {
	case x.FunctionName == "":
		return nil, invalid("Function name is required.")
	case app == "":
		return nil, shape.Failure(casemate.NotFound, "ResourceNotFoundException", "Function not found: "+d.Place.FunctionARN(name))
	case len(x.Tags) > 0:
		return nil, invalid("Tags of event source mappings are not provided here.")
	case x.EventSourceArn == "":
		return nil, invalid("Unrecognized event source.")
	}
	m := &casemate.Mapping{ID: casemate.NewID(), App: app, Function: name, Qualifier: qualifier, Source: x.EventSourceArn, Batch: 10}
	if err := d.settle(m, x); err != nil {
		return nil, err
	}
	err := d.Edit(ctx, l, app, func(a *catalog.App) error {
		for _, o := range a.Mappings {
			if o.Source == m.Source && o.Function == name {
				return shape.Failure(casemate.Conflict, "ResourceConflictException", "An event source mapping with SQS arn (\" "+m.Source+" \") and function (\" "+name+" \") already exists. Please update or delete the existing mapping with UUID "+o.ID)
			}
		}
		if a.Functions[name] == nil {
			return missing()
		}
		d.Connect(a, m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	o := d.show(m)
	o.State = "Creating"
	return o, nil
}

// settle puts what a request says into a mapping, and holds the whole to Lambda's rules.
func (d *desk) settle(m *casemate.Mapping, x *in) error {
	if _, ok := d.Place.QueueName(m.Source); !ok {
		return invalid("Unrecognized event source. Event sources here are queues of this node.")
	}
	if x.StartingPosition != "" {
		return invalid("StartingPosition is not valid for SQS event sources.")
	}
	if x.Enabled != nil {
		m.Disabled = !*x.Enabled
	}
	if x.BatchSize != nil {
		m.Batch = *x.BatchSize
	}
	if x.MaximumBatchingWindowInSeconds != nil {
		if n := *x.MaximumBatchingWindowInSeconds; n < 0 || n > maxWindow {
			return invalid("Maximum batch window in seconds must be between 0 and 300.")
		}
		m.Window = time.Duration(*x.MaximumBatchingWindowInSeconds) * time.Second
	}
	if x.FunctionResponseTypes != nil {
		m.Partial = slices.Contains(*x.FunctionResponseTypes, partial)
		if len(*x.FunctionResponseTypes) > 1 || len(*x.FunctionResponseTypes) == 1 && !m.Partial {
			return invalid("FunctionResponseTypes takes ReportBatchItemFailures alone.")
		}
	}
	if x.ScalingConfig != nil {
		m.Concurrency = 0
		if n := x.ScalingConfig.MaximumConcurrency; n != nil {
			if m.Concurrency = *n; *n < minParallel || *n > maxParallel {
				return invalid("MaximumConcurrency must be between 2 and 1000.")
			}
		}
	}
	fifo := strings.HasSuffix(m.Source, ".fifo")
	switch {
	case m.Batch < 1 || m.Batch > maxBatch:
		return invalid("Batch size must be between 1 and 10000.")
	case fifo && m.Batch > maxFIFO:
		return invalid("Batch size for FIFO queues must be between 1 and 10.")
	case fifo && m.Window > 0:
		return invalid("Batching window is not supported for FIFO queues.")
	case m.Batch > maxFIFO && m.Window == 0:
		return invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")
	}
	if err := d.filters(m, x); err != nil {
		return err
	}
	m.Modified = d.Clock().UTC()
	return d.reach(m)
}

func (d *desk) filters(m *casemate.Mapping, x *in) error {
	if x.FilterCriteria == nil {
		return nil
	}
	m.Filters = nil
	if len(x.FilterCriteria.Filters) > maxFilters {
		return invalid("FilterCriteria takes 10 filters at most.")
	}
	for _, f := range x.FilterCriteria.Filters {
		if _, err := pattern.Parse([]byte(f.Pattern)); err != nil {
			return err
		}
		m.Filters = append(m.Filters, f.Pattern)
	}
	return nil
}

// reach checks that the queue is there, that its messages stay hidden while the function runs, and that the function may take
// them.
func (d *desk) reach(m *casemate.Mapping) error {
	visibility, err := d.Queue(m.Source)
	if err != nil {
		return invalid("Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not exist.")
	}
	if v := d.Snapshot().Function(m.Function); v != nil && v.Limits.Timeout > visibility {
		return invalid("Queue visibility timeout: " + seconds(visibility) + " seconds is less than Function timeout: " + seconds(v.Limits.Timeout) + " seconds")
	}
	for _, action := range [...]string{"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"} {
		if err := d.May(m, "sqs:"+action); err != nil {
			return invalid("The provided execution role does not have permissions to call " + action + " on SQS")
		}
	}
	return nil
}

func seconds(t time.Duration) string { return strings.TrimSuffix(t.Round(time.Second).String(), "s") }

func (d *desk) get(_ context.Context, _ *casemate.Launch, x *in) (any, error) {
	m, err := d.find(x.UUID)
	if err != nil {
		return nil, err
	}
	return d.show(m), nil
}

func (d *desk) show(m *casemate.Mapping) *out {
	arn := d.Place.FunctionARN(m.Target())
	o := &out{UUID: m.ID, EventSourceArn: m.Source, FunctionArn: arn, EventSourceMappingArn: d.Place.MappingARN(m.ID), BatchSize: m.Batch,
		MaximumBatchingWindowInSeconds: int(m.Window / time.Second), FunctionResponseTypes: []string{}, LastModified: shape.At(m.Modified), StateTransitionReason: "USER_INITIATED"}
	if m.Partial {
		o.FunctionResponseTypes = []string{partial}
	}
	if len(m.Filters) > 0 {
		o.FilterCriteria = &criteria{}
		for _, p := range m.Filters {
			o.FilterCriteria.Filters = append(o.FilterCriteria.Filters, filter{p})
		}
	}
	if n := m.Concurrency; n > 0 {
		o.ScalingConfig = &scaling{&n}
	}
	o.State = "Creating"
	if state, _, known := d.Status(m.ID); known {
		o.State = state
	}
	return o
}

type listOut struct {
	EventSourceMappings []*out
	NextMarker          string `json:",omitempty"`
}

func (d *desk) list(_ context.Context, _ *casemate.Launch, x *in) (any, error) {
	most := maxItems
	if x.MaxItems != nil {
		if most = min(*x.MaxItems, maxItems); most < 1 {
			return nil, invalid("MaxItems must be between 1 and 10000.")
		}
	}
	after, err := base64.RawURLEncoding.DecodeString(x.Marker)
	if err != nil {
		return nil, invalid("Invalid Marker.")
	}
	name, _ := d.split(x.FunctionName)
	o := listOut{EventSourceMappings: []*out{}}
	for _, m := range d.Snapshot().Mappings() {
		if m.ID <= string(after) || x.EventSourceArn != "" && m.Source != x.EventSourceArn || name != "" && m.Function != name {
			continue
		}
		if len(o.EventSourceMappings) == most {
			o.NextMarker = base64.RawURLEncoding.EncodeToString([]byte(o.EventSourceMappings[most-1].UUID))
			break
		}
		o.EventSourceMappings = append(o.EventSourceMappings, d.show(m))
	}
	return o, nil
}

// own finds a mapping that Lambda's API made.
func (d *desk) own(id string) (*casemate.Mapping, error) {
	m, err := d.find(id)
	if err == nil && m.Modified.IsZero() {
		err = shape.Failure(casemate.Conflict, "ResourceConflictException", "The mapping is declared by the app "+m.App+": change it there and deploy.")
	}
	return m, err
}

func (d *desk) update(ctx context.Context, l *casemate.Launch, x *in) (any, error) {
	was, err := d.own(x.UUID)
	if err != nil {
		return nil, err
	}
	if name, _ := d.split(x.FunctionName); x.FunctionName != "" && name != was.Function {
		return nil, invalid("A mapping stays with its function: make another one.")
	}
	next := *was
	if x.FunctionName != "" {
		_, next.Qualifier = d.split(x.FunctionName)
	}
	if err := d.settle(&next, x); err != nil {
		return nil, err
	}
	err = d.Edit(ctx, l, was.App, func(a *catalog.App) error {
		if a.Mappings[was.ID] == nil {
			return missing()
		}
		d.Connect(a, &next)
		return nil
	})
	if err != nil {
		return nil, err
	}
	o := d.show(&next)
	o.State = "Updating"
	return o, nil
}

func (d *desk) remove(ctx context.Context, l *casemate.Launch, x *in) (any, error) {
	m, err := d.own(x.UUID)
	if err != nil {
		return nil, err
	}
	o := d.show(m)
	o.State = "Deleting"
	return o, d.Edit(ctx, l, m.App, func(a *catalog.App) error {
		if a.Mappings[m.ID] == nil {
			return missing()
		}
		d.Disconnect(a, m.ID)
		return nil
	})
}
