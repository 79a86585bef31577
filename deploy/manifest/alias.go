package manifest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Alias is a name under which callers reach one version of a function, or two, of which each gets its share.
type Alias struct {
	Version     string `key:"version" like:"^([1-9][0-9]{0,8}|[A-Za-z][A-Za-z0-9]{0,254})$" doc:"Number of a version, or one of versions: (default: the one that this deploy puts in force)."`
	Other       string `key:"other" like:"^([1-9][0-9]{0,8}|[A-Za-z][A-Za-z0-9]{0,254})$" doc:"Another version that gets a share of the events."`
	Weight      string `key:"weight" like:"^(0([.][0-9]{1,16})?|1([.]0{1,16})?)$" doc:"Share of the other version: \"0.1\" is one event of ten."`
	URL         *URL   `key:"url" doc:"Gives the alias a URL of its own, besides that of the function."`
	Description string `key:"description" like:"^[^\\x00-\\x1f\\x7f]{1,256}$" doc:"What it is for."`
}

// versionName is what a version may be called besides its number.
var versionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,254}$`)

// aliases checks what the versions of a function are called.
func (c *checker) aliases(ptr, function string, f *Function) {
	for i, name := range f.Versions {
		at := fmt.Sprintf("%s/versions/%d", ptr, i)
		if !versionName.MatchString(name) {
			c.bad(at, "use letters and digits, a letter first", "this is no name of a version")
		}
		if slices.Contains(f.Versions[:i], name) {
			c.bad(at, "", "the same name stands here twice")
		}
	}
	if len(f.Versions) > 20 {
		c.bad(ptr+"/versions", "", "20 versions are named at most")
	}
	for _, name := range slices.Sorted(maps.Keys(f.Aliases)) {
		a, at := f.Aliases[name], ptr+"/aliases/"+Escape(name)
		if a.URL != nil {
			c.way(at+"/url", a.URL.Route(function), f, true)
			c.browser(at+"/url", "ANY", a.URL.Route(function))
		}
		if strings.Trim(name, "0123456789") == "" {
			c.bad(at, "put a letter into it", "a number names a version, not an alias")
		}
		if (a.Other == "") != (a.Weight == "") {
			c.bad(at, `{version: 3, other: 4, weight: "0.1"}`, "other and weight stand together")
		}
		if a.Other != "" && a.Other == a.Version {
			c.bad(at+"/other", "", "it leads to this version already")
		}
		for key, v := range map[string]string{"version": a.Version, "other": a.Other} {
			if versionName.MatchString(v) && !slices.Contains(f.Versions, v) {
				c.bad(at+"/"+key, meant(v, f.Versions), "%q is none of versions", v)
			}
		}
	}
}
