package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// handler takes one event as it came and gives the answer as it goes.
type handler func(ctx context.Context, event []byte) ([]byte, error)

// registered is what Handle and OnEvent were given while the program initialised. It does not change afterwards.
var registered struct {
	handle handler
	direct any // the function itself, for the Lambda runtime
	hooks  []func() error
}

// Handle says which function takes the events. It is called once, from an init function: a module's main is never
// called. In is read from the event's JSON and Out written as JSON; a []byte or a json.RawMessage is passed as it is.
func Handle[In, Out any](f func(ctx context.Context, event In) (Out, error)) {
	if registered.handle != nil {
		panic("function.Handle was called twice")
	}
	registered.direct = f
	rehearse[In, Out]()
	registered.handle = func(ctx context.Context, event []byte) ([]byte, error) {
		in, err := decode[In](event)
		if err != nil {
			return nil, err
		}
		out, err := f(ctx, in)
		if err != nil {
			return nil, err
		}
		return encode(out)
	}
}

// rehearse has encoding/json learn the types while the program initialises: learnt in an event it would cost more than a
// small event itself, and a module is rewound after each. What the types' own methods make of zero values does not matter.
func rehearse[In, Out any]() {
	defer func() { _ = recover() }()
	var in In
	var out Out
	_, _ = json.Marshal(&in)
	_, _ = json.Marshal(&out)
	_ = json.Unmarshal([]byte("{}"), &in)
}

// OnEvent registers a hook that runs before each event, after the module was rewound: the place to seed generators that
// were made while the program initialised. An error fails the event. On AWS Lambda hooks run before each event, too.
func OnEvent(hook func() error) { registered.hooks = append(registered.hooks, hook) }

func decode[In any](event []byte) (in In, err error) {
	switch p := any(&in).(type) {
	case *[]byte:
		*p = event
		return in, nil
	case *json.RawMessage:
		*p = event
		return in, nil
	}
	if err := json.Unmarshal(event, &in); err != nil {
		return in, fmt.Errorf("reading the event: %w", err)
	}
	return in, nil
}

func encode(out any) ([]byte, error) {
	switch v := out.(type) {
	case []byte:
		return v, nil
	case json.RawMessage:
		return v, nil
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("writing the answer: %w", err)
	}
	return b, nil
}

var errNoHandler = errors.New("no function handles events: call function.Handle in an init function")

// serve runs the hooks and the handler; a panic of theirs is an error like any other.
func serve(ctx context.Context, event []byte) (answer []byte, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &panicked{cause}
		}
	}()
	if registered.handle == nil {
		return nil, errNoHandler
	}
	for _, hook := range registered.hooks {
		if err := hook(); err != nil {
			return nil, err
		}
	}
	return registered.handle(ctx, event)
}

// panicked is what a handler panicked with.
type panicked struct{ cause any }

func (p *panicked) Error() string { return fmt.Sprint(p.cause) }
