package diff

import (
	"cmp"
	"strings"

	"casemate"
	"casemate/catalog"
	"casemate/deploy/manifest"
)

func routeKey(r casemate.Route) string {
	if r.URL {
		return "URL of " + strings.TrimSuffix(r.Function+":"+r.Alias(), ":")
	}
	return "route " + strings.TrimSpace(r.Host+" "+r.ID)
}

func (c *comparer) routes(current, next *catalog.App) {
	index := func(l []casemate.Route) map[string]casemate.Route {
		m := map[string]casemate.Route{}
		for _, r := range l {
			m[routeKey(r)] = r
		}
		return m
	}
	old, fresh := index(current.Routes), index(next.Routes)
	for _, k := range union(old, fresh) {
		was, had := old[k]
		is, has := fresh[k]
		if !has {
			if was.ByAPI() { // nobody who reads the manifest knows of it: it stands with what is looked at first
				c.say(KindPermission, "remove", k, false, "it was made through Lambda's API and the manifest has none: its callers are turned away")
			}
			c.say(KindRoute, "remove", k, false, "leads to %s no more", was.Function)
			continue
		}
		if !had {
			c.say(KindRoute, "add", k, false, "leads to %s", is.Function)
		} else if was.Function != is.Function {
			c.say(KindRoute, "change", k, false, "leads to %s instead of %s", is.Function, was.Function)
		}
		c.auth(k, was.Auth, is.Auth)
		c.asked(k, was.Auth, is.Auth)
		c.object(k, was.Object, is.Object)
		c.steps(k, was, is)
		if was.Contract != is.Contract {
			c.contract(k, was.Contract, is.Contract)
		}
		c.answers(k, was.Answers, is.Answers)
		c.response(k, was.Response, is.Response)
		c.within(k, had, &was, &is)
		if had && (was.Payload != is.Payload || was.Stage != is.Stage) {
			c.say(KindRoute, "change", k, false, "requests and answers have payload format %s at stage %s", cmp.Or(is.Payload, "2.0"), cmp.Or(is.Stage, "default"))
		}
		c.clean(k, was.Screen, is.Screen, was.Leaks, is.Leaks)
		c.browser(k, was.Browser, is.Browser)
		if had || is.Total != (casemate.Limit{}) {
			c.rooms(k+" over all callers", was.Total, is.Total)
		}
		if had && was.Rate != is.Rate {
			c.say(KindLimit, "change", k, is.Rate.PerSecond == 0 || was.Rate.PerSecond > 0 && is.Rate.PerSecond > was.Rate.PerSecond, "rate %s instead of %s", rateText(is.Rate), rateText(was.Rate))
		}
		if had && was.Request != is.Request {
			c.say(KindLimit, "change", k, is.Request == 0 || was.Request > 0 && is.Request > was.Request, "max_body %s instead of %s", bodyText(is.Request), bodyText(was.Request))
		}
	}
}

func (c *comparer) contract(k, was, is string) {
	switch {
	case was == "":
		c.say(KindRoute, "add", k, false, "requests have a contract")
	case is == "":
		c.say(KindRoute, "remove", k, true, "requests have no contract any more")
	default:
		c.say(KindRoute, "change", k, false, "requests have another contract")
	}
}

// answers says what becomes of answers that a contract does not promise, where that changes. To look less is a weakening.
func (c *comparer) answers(k, was, is string) {
	strict := map[string]int{"": 0, "tag": 1, "off": 2}
	text := map[string]string{"": "are blocked", "tag": "leave, and are noted", "off": "are not looked at"}
	if was != is {
		c.say(KindRoute, "change", k, strict[is] > strict[was], "answers that the contract does not promise %s", text[is])
	}
}

// response says how answers leave, where that changes.
func (c *comparer) response(k, was, is string) {
	text := map[string]string{casemate.ResponseBuffered: "when the function has ended", casemate.ResponseStream: "while the function makes them"}
	if was != is {
		c.say(KindRoute, "change", k, false, "answers leave %s", text[is])
	}
}

// within says how long requests may take, where that changes or is not what every route has.
func (c *comparer) within(k string, had bool, was, is *casemate.Route) {
	if from, to := was.Within(), is.Within(); had && from != to || !had && is.Timeout > 0 {
		text := "as long as the function may run"
		if to > 0 {
			text = to.String()
		}
		c.say(KindRoute, "change", k, false, "requests may take %s", text)
	}
}

// object says what the callers of a route must be allowed beside the route, or need not be any more: a permission.
func (c *comparer) object(k string, was, is *casemate.Object) {
	switch {
	case is != nil && (was == nil || *was != *is):
		c.say(KindPermission, "add", k, was != nil, "its callers must be allowed to read or write %s as well", is.Resource)
	case is == nil && was != nil:
		c.say(KindPermission, "remove", k, true, "whose object a request is about is decided no more")
	}
}

// steps tells which order of calls a route newly belongs to, and how long its answers are kept. Leaving an order, and
// giving everybody the same answer, open something.
func (c *comparer) steps(k string, was, is casemate.Route) {
	switch f := is.Flow; {
	case Text(was.Flow) == Text(f):
	case f == nil:
		c.say(KindPermission, "remove", k, true, "no step of flow %s any more: it can be called at any time", was.Flow.Name)
	default:
		c.say(KindPermission, "change", k, was.Flow != nil, "flow %s: step %d of %d, told by %s, within %s", f.Name, f.Step, f.Steps, f.Key, f.Within)
	}
	switch x := is.Keep; {
	case Text(was.Keep) == Text(x):
	case x == nil:
		c.say(KindRoute, "change", k, false, "answers are kept no more")
	case x.Shared:
		c.say(KindPermission, "change", k, true, "answers are kept for %s, and callers get each other's", x.TTL)
	default:
		c.say(KindRoute, "change", k, false, "answers are kept for %s", x.TTL)
	}
}

func bodyText(n int64) string {
	if n == 0 {
		return "of the function"
	}
	return manifest.Size(n).String()
}
