package diff

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate"
	"casemate/catalog"
)

func (c *comparer) function(name string, was, is *catalog.Function) {
	subject := "function " + name
	if is == nil {
		c.say(KindFunction, "remove", subject, false, "is gone, with its versions")
		return
	}
	n := is.Number(is.Live)
	var old []casemate.Child
	if was != nil {
		old = was.Number(was.Live).Children
	}
	c.children(subject, old, n.Children)
	c.extensions(subject, layersOf(was), n.Layers)
	if was == nil {
		c.say(KindFunction, "add", subject, false, "version %d: %s, %d MB, %s, %s a sandbox", n.Number, n.Runtime, n.Limits.MemoryMB, n.Limits.Timeout, n.Isolation)
		screen, leaks := n.ByName()
		c.clean(subject, casemate.Screen{}, screen, casemate.Leaks{}, leaks)
		c.aliases(name, nil, is)
		return
	}
	c.aliases(name, was, is)
	o := was.Number(was.Live)
	if o.ID == n.ID {
		return
	}
	if o.Contract != n.Contract {
		c.contract(subject, o.Contract, n.Contract)
	}
	var parts []string
	differs := func(what string, a, b any) {
		if Text(a) != Text(b) {
			parts = append(parts, what)
		}
	}
	differs("code", o.Code, n.Code)
	differs("layers", o.Layers, n.Layers)
	differs("runtime", o.Runtime, n.Runtime)
	differs("handler", o.Handler, n.Handler)
	differs("environment", o.Env, n.Env)
	differs("async", o.Async, n.Async)
	differs("destinations", o.Told(), n.Told())
	differs("tenant key", o.Tenant, n.Tenant)
	differs("provisioned", o.Spare, n.Spare)
	differs("screen", o.Screen, n.Screen)
	differs("leaks", o.Leaks, n.Leaks)
	differs("log", o.Logging, n.Logging)
	wasIn, wasOut := o.ByName()
	isIn, isOut := n.ByName()
	c.clean(subject, wasIn, isIn, wasOut, isOut)
	c.standing(subject, o, n)
	if o.Isolation != n.Isolation {
		parts = append(parts, fmt.Sprintf("isolation %s instead of %s", n.Isolation, o.Isolation))
	}
	if was, is := o.AtOnce(), n.AtOnce(); was != is {
		c.say(KindLimit, "change", subject, is > was, "sandbox_concurrency %d instead of %d", is, was)
		parts = append(parts, "several events in a sandbox")
	}
	if o.Limits != n.Limits {
		c.limits(subject, o.Limits, n.Limits)
		parts = append(parts, "limits")
	}
	sharing := map[casemate.Isolation]int{casemate.IsolationRequest: 0, casemate.IsolationTenant: 1, casemate.IsolationWarm: 2}
	c.say(KindFunction, "change", subject, sharing[n.Isolation] > sharing[o.Isolation], "version %d instead of %d: %s", n.Number, o.Number, strings.Join(parts, ", "))
}

// program names one with what fixes its content: a digest, or that of the code that it is in.
func program(c casemate.Child) string {
	if c.SHA256 == "" {
		return c.Path + " of its own code"
	}
	return fmt.Sprintf("%s (sha256 %.12s)", c.Path, c.SHA256)
}

// children says what a function may execute, or may not any more: a permission.
func (c *comparer) children(subject string, was, is []casemate.Child) {
	for _, x := range is {
		if !slices.Contains(was, x) {
			c.say(KindPermission, "add", subject+" may", true, "execute %s", program(x))
		}
	}
	for _, x := range was {
		if !slices.Contains(is, x) {
			c.say(KindPermission, "remove", subject+" may", false, "execute %s", program(x))
		}
	}
}

// extensions says which programs of its layers run beside a function, or do not any more: a permission, as children are.
func (c *comparer) extensions(subject string, was, is []casemate.Layer) {
	old, now := extensionsOf(was), extensionsOf(is)
	for _, x := range now {
		if !slices.Contains(old, x) {
			c.say(KindPermission, "add", subject+" runs", true, "an extension of its layers beside it in every sandbox: /opt/extensions/%s", x)
		}
	}
	for _, x := range old {
		if !slices.Contains(now, x) {
			c.say(KindPermission, "remove", subject+" runs", false, "an extension of its layers beside it in every sandbox: /opt/extensions/%s", x)
		}
	}
}

// layersOf are those of the version in force; nil when there is none.
func layersOf(f *catalog.Function) []casemate.Layer {
	if f == nil {
		return nil
	}
	return f.Number(f.Live).Layers
}

// extensionsOf names each extension with the layer that it is of: another content is another program.
func extensionsOf(list []casemate.Layer) []string {
	by := map[string]string{}
	for _, l := range list {
		for _, x := range l.Extensions {
			by[x] = l.Code
		}
	}
	var names []string
	for _, x := range slices.Sorted(maps.Keys(by)) {
		names = append(names, fmt.Sprintf("%s (layer sha256 %.12s)", x, by[x]))
	}
	return names
}

// aliases lists what leads elsewhere than before.
func (c *comparer) aliases(function string, was, is *catalog.Function) {
	var old map[string]*catalog.Alias
	if was != nil {
		old = was.Manages().Aliases
	}
	for _, name := range union(old, is.Manages().Aliases) {
		o, n := old[name], is.Manages().Aliases[name]
		subject := "alias " + function + ":" + name
		switch {
		case n == nil:
			c.say(KindFunction, "remove", subject, false, "is gone")
		case o == nil:
			c.say(KindFunction, "add", subject, false, "leads to %s", leads(n))
		case leads(o) != leads(n):
			c.say(KindFunction, "change", subject, false, "leads to %s, led to %s", leads(n), leads(o))
		}
	}
}

// leads says in words where an alias leads.
func leads(a *catalog.Alias) string {
	s := cmp.Or(map[bool]string{a.Version == 0: "what is in force"}[true], fmt.Sprintf("version %d", a.Version))
	for n, w := range a.Weights {
		s += fmt.Sprintf(", and to version %d with %g of the events", n, w)
	}
	return s
}
