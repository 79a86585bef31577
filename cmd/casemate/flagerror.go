package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"casemate"
)

// asUsage turns what cobra says about flags and verbs into a coded error; those are the only uncoded ones here that the
// user can mend.
func asUsage(err error, verb *cobra.Command) *casemate.Error {
	if e := casemate.AsError(err); e.Code != casemate.Fault || e.Err != err {
		return e
	}
	hint := "casemate --help lists the verbs, casemate VERB --help their flags"
	if verb.HasParent() {
		hint = verb.UseLine() + "; " + verb.CommandPath() + " --help says more"
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if near := nearFlag(verb, unknown.GetSpecifiedName()); near != "" {
			hint = "did you mean --" + near + "? " + verb.CommandPath() + " --help lists what there is"
		}
	}
	var value *pflag.InvalidValueError
	var outside outOfBounds
	switch {
	case !errors.As(err, &value):
	case errors.As(err, &outside):
		return outside.refused(value.GetFlag(), err)
	default:
		e := &casemate.Error{Code: casemate.Invalid, Field: "--" + value.GetFlag().Name, Err: err}
		switch value.GetFlag().Value.Type() {
		case "int":
			e.Message, e.Hint = fmt.Sprintf("%q is no whole number", value.GetValue()), "digits alone, without a unit"
			return e
		case "duration":
			e.Message, e.Hint = fmt.Sprintf("%q is no length of time", value.GetValue()), "a number with its unit, such as 500ms, 5s, 20m or 12h"
			return e
		}
	}
	return &casemate.Error{Code: casemate.Invalid, Message: err.Error(), Hint: hint, Err: err}
}

// nearFlag is the flag of verb that name was probably meant for; "" when none is near.
func nearFlag(verb *cobra.Command, name string) string {
	near := cobra.Command{SuggestionsMinimumDistance: 2} // cobra measures the distance to verbs alone
	verb.Flags().VisitAll(func(f *pflag.Flag) {
		near.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	})
	for _, s := range near.SuggestionsFor(name) {
		if len(name) > 2 { // of short ones everything is near
			return s
		}
	}
	return ""
}

// badFlag refuses the value of a flag.
func badFlag(flag, message, hint string) error {
	return &casemate.Error{Code: casemate.Invalid, Field: "--" + flag, Message: message, Hint: hint}
}
