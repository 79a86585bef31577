package casemate

// Logging says how the log of a function is written, as Lambda's LoggingConfig does
// (https://docs.aws.amazon.com/lambda/latest/api/API_LoggingConfig.html).
type Logging struct {
	Format string `json:"format,omitempty"` // "JSON": an object an entry; "" and "Text": a line
	Level  string `json:"level,omitempty"`  // of JSON: the least that the function writes, TRACE to FATAL; "" is INFO
	System string `json:"system,omitempty"` // of JSON: the least that the platform writes, DEBUG, INFO or WARN; "" is INFO
}

// JSON reports whether entries are objects. A nil Logging writes lines.
func (l *Logging) JSON() bool { return l != nil && l.Format == "JSON" }
