package casemate

// The modes of a Screen.
const (
	ScreenBlock = ""    // an attack is refused
	ScreenTag   = "tag" // it is noted in the record, and passes
	ScreenOff   = "off" // nothing is looked at
)

// ScreenCRS is the profile that refuses what the OWASP Core Rule Set alone refuses, at paranoia level 1. The empty
// profile has a match confirmed first.
const ScreenCRS = "crs"

// Screen says how the text that no contract closes is looked at. The zero Screen refuses attacks.
type Screen struct {
	Mode    string         `json:"mode,omitempty"`
	Profile string         `json:"profile,omitempty"`
	Text    int64          `json:"text,omitempty"` // bytes of prose that one event may hold; 0: some 400 KB
	Except  []ScreenExcept `json:"except,omitempty"`
}

// ScreenExcept lets one rule pass in one place, and in everything below it, until it expires.
type ScreenExcept struct {
	Rule  string `json:"rule"`  // "942100", "casemate/template"
	Field string `json:"field"` // "body/comment", "query/q", "header/x-note"
	Exception
}
