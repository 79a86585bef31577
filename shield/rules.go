package shield

import (
	"slices"
	"strconv"
	"strings"

	"casemate/shield/screen"
)

// detectors are the rules that the shield has of its own, without "casemate/".
const detectors = " code command command-ifs dotnet-serialised file-name formula header-injection java-serialised jndi ldap-filter line-break log-injection node-serialize " +
	"nosql-operator nosql-query nul option php-serialised pickle prototype prototype-path remote-share ruby-marshal sensitive-file server-include shellshock sql-comment " +
	"ssrf-disguised ssrf-metadata ssrf-private stream-wrapper template traversal typed-json xinclude xpath xxe yaml-tag "

// KnownRule reports whether a rule can refuse a request: the number of one of the rule set that is about attacks, or a
// detector's name.
func KnownRule(rule string) bool {
	if name, ok := strings.CutPrefix(rule, "casemate/"); ok {
		return slices.Contains(strings.Fields(detectors), name)
	}
	id, err := strconv.Atoi(rule)
	return err == nil && screen.Known(id)
}
