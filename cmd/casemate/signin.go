package main

import (
	"casemate"
	"casemate/authn/passkey"
	"casemate/node"
)

// checkOrigins looks at --admin-origin before anything is opened.
func checkOrigins(cfg *node.Config) error {
	if len(cfg.AdminOrigins) == 0 {
		return nil
	}
	if cfg.Admin == "" {
		return &casemate.Error{Code: casemate.Invalid, Field: "--admin-origin", Message: "it names an admin API that is off", Hint: "give --admin an address, too"}
	}
	_, err := passkey.Host(cfg.AdminOrigins)
	return err
}
