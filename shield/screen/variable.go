package screen

import "fmt"

// variable is a variable of the rule language, as far as the rule set looks at it.
type variable uint8

const (
	vNone variable = iota
	vArgs
	vArgsNames
	vArgsGet
	vArgsGetNames
	vCookies
	vCookiesNames
	vHeaders
	vHeadersNames
	vXML
	vFiles
	vFilesNames
	vPartHeaders
	vResponseHeaders
	vFilename
	vBasename
	vBody
	vBodyLength
	vLine
	vMethod
	vProtocol
	vURI
	vURIRaw
	vQuery
	vRemoteAddr
	vUniqueID
	vProcessor
	vBodyError
	vMultipartError
	vFilesSize
	vArgsSize
	vResponseBody
	vResponseStatus
	vTX
	vMatchedVar
	vMatchedVarName
	vMatchedVars
	variables // how many there are
)

// singles begins at the variables that always have one value, the empty one when nothing set it.
const singles = vFilename

// names of the variables, by number.
func names() [variables]string {
	return [variables]string{"", "ARGS", "ARGS_NAMES", "ARGS_GET", "ARGS_GET_NAMES", "REQUEST_COOKIES", "REQUEST_COOKIES_NAMES", "REQUEST_HEADERS",
		"REQUEST_HEADERS_NAMES", "XML", "FILES", "FILES_NAMES", "MULTIPART_PART_HEADERS", "RESPONSE_HEADERS", "REQUEST_FILENAME", "REQUEST_BASENAME",
		"REQUEST_BODY", "REQUEST_BODY_LENGTH", "REQUEST_LINE", "REQUEST_METHOD", "REQUEST_PROTOCOL", "REQUEST_URI", "REQUEST_URI_RAW", "QUERY_STRING",
		"REMOTE_ADDR", "UNIQUE_ID", "REQBODY_PROCESSOR", "REQBODY_ERROR", "MULTIPART_STRICT_ERROR", "FILES_COMBINED_SIZE", "ARGS_COMBINED_SIZE",
		"RESPONSE_BODY", "RESPONSE_STATUS", "TX", "MATCHED_VAR", "MATCHED_VAR_NAME", "MATCHED_VARS"}
}

// variableOf is the variable of a name in upper case.
func variableOf(name string) (variable, error) {
	for v, n := range names() {
		if n == name && v > 0 {
			return variable(v), nil //nolint:gosec // fewer than 256
		}
	}
	return vNone, fmt.Errorf("unknown variable %q", name)
}
