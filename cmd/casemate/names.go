package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"casemate"
	"casemate/internal/spelling"
	"casemate/node"
)

// noun is what a name on the command line is of.
type noun string

const (
	functionNoun noun = "function"
	appNoun      noun = "app"
	routeNoun    noun = "route"
	queueNoun    noun = "queue"
	scheduleNoun noun = "schedule"
)

// longestName bounds the names that are looked at for what was meant.
const longestName = 256

// near adds to an error that says there is no such thing the name that was probably meant, as far as the caller may see
// what there is. Every other error is as it was.
func (a *app) near(ctx context.Context, err error, what noun, name string) error {
	if casemate.CodeOf(err) != casemate.NotFound || name == "" {
		return err
	}
	all, failed := a.names(ctx, what)
	if failed != nil {
		return err
	}
	e := *casemate.AsError(err)
	e.Hint = meant(name, all) + e.Hint
	return &e
}

// known refuses a name that a verb would find nothing of, with the one that was probably meant. A caller who may not see
// what there is hears nothing of it.
func (a *app) known(ctx context.Context, what noun, name string) error {
	if name == "" {
		return nil
	}
	all, err := a.names(ctx, what)
	if err != nil || slices.Contains(all, name) {
		return nil
	}
	return casemate.Errorf(casemate.NotFound, meant(name, all)+"casemate list shows what is deployed", "there is no %s %q", what, name)
}

// noteUnknown says that a budget or tag is for an app or function that is not there: it may be yet to come, or mistyped.
func (a *app) noteUnknown(ctx context.Context, of string) {
	kind, name, _ := strings.Cut(of, "/")
	if what := noun(kind); (what == appNoun || what == functionNoun) && name != "*" {
		if err := a.known(ctx, what, name); err != nil {
			fmt.Fprintln(a.errs, "note: "+printable(err.Error())+" yet; "+casemate.AsError(err).Hint)
		}
	}
}

// meant is the beginning of a hint: which of all was probably meant by name; "" when none is near. A function is also
// found by what else names it: app/function, function:version.
func meant(name string, all []string) string {
	plain := name[strings.LastIndexByte(name, '/')+1:]
	plain, _, _ = strings.Cut(plain, ":")
	for _, n := range []string{name, plain} {
		if i := spelling.Nearest(n, all, longestName); i >= 0 && n != "" {
			return fmt.Sprintf("did you mean %s? ", printable(all[i]))
		}
	}
	return ""
}

// names are those of everything of its kind on the node, sorted.
func (a *app) names(ctx context.Context, what noun) (all []string, err error) {
	switch what {
	case queueNoun:
		var list []node.QueueState
		err = a.call(ctx, "queue.list", nil, &list)
		for i := range list {
			all = append(all, list[i].Name)
		}
	case scheduleNoun:
		var list []node.ScheduleState
		err = a.call(ctx, "schedule.list", nil, &list)
		for i := range list {
			all = append(all, list[i].ID())
		}
	default:
		var s node.State
		err = a.call(ctx, "state", nil, &s)
		for i := range s.Functions {
			all = append(all, map[noun]string{functionNoun: s.Functions[i].Name, appNoun: s.Functions[i].App}[what])
		}
		for i := range s.Routes {
			all = append(all, map[noun]string{routeNoun: s.Routes[i].ID, appNoun: s.Routes[i].App}[what])
		}
	}
	all = slices.DeleteFunc(all, func(n string) bool { return n == "" })
	slices.Sort(all)
	return slices.Compact(all), err
}
