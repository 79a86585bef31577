package control

import (
	"fmt"

	"casemate"
)

// Lambda's words for what goes wrong (https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html#API_CreateFunction_Errors).
const (
	codeMissing   = "ResourceNotFoundException"
	codeParameter = "InvalidParameterValueException"
	codeConflict  = "ResourceConflictException"
	codeRevision  = "PreconditionFailedException"
	codeModel     = "ValidationException"
	codeSerial    = "SerializationException"
	codeDenied    = "AccessDeniedException"
)

func failure(c casemate.Code, aws, format string, args ...any) *casemate.Error {
	return &casemate.Error{Code: c, AWS: aws, Message: fmt.Sprintf(format, args...)}
}

func parameter(format string, args ...any) *casemate.Error {
	return failure(casemate.Invalid, codeParameter, format, args...)
}

func conflict(format string, args ...any) *casemate.Error {
	return failure(casemate.Conflict, codeConflict, format, args...)
}
