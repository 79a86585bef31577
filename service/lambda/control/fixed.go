package control

import (
	"context"

	"casemate"
)

// fixed are the operations on what Lambda lets be chosen and what has one value here. Tools that keep a function as a file says ask for
// it whenever they look at the function, and take a refusal for a failure.
func (d *desk) fixed() []casemate.Operation {
	return []casemate.Operation{
		onFunction(d, "GetFunctionCodeSigningConfig", askBody, d.getSigning),
		onFunction(d, "GetFunctionRecursionConfig", askBody, d.getRecursion),
		onFunction(d, "GetRuntimeManagementConfig", askBody, d.getRuntime),
	}
}

// getSigning is GetFunctionCodeSigningConfig, which is empty for a function without one.
func (d *desk) getSigning(_ context.Context, _ *casemate.Launch, in *target) (any, error) {
	if err := in.whole(); err != nil {
		return nil, err
	}
	if _, _, _, err := d.find(in); err != nil {
		return nil, err
	}
	return struct{}{}, nil
}

// getRecursion is GetFunctionRecursionConfig: loops are always ended.
func (d *desk) getRecursion(_ context.Context, _ *casemate.Launch, in *target) (any, error) {
	if err := in.whole(); err != nil {
		return nil, err
	}
	if _, _, _, err := d.find(in); err != nil {
		return nil, err
	}
	return struct{ RecursiveLoop string }{"Terminate"}, nil
}

// getRuntime is GetRuntimeManagementConfig: a function runs in the interpreter that this machine has.
func (d *desk) getRuntime(_ context.Context, _ *casemate.Launch, in *target) (any, error) {
	if _, _, _, err := d.find(in); err != nil {
		return nil, err
	}
	return struct{ FunctionArn, UpdateRuntimeOn string }{d.latestARN(in.name, in.Qualifier), "Auto"}, nil
}
