package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"casemate/node"
)

func (a *app) postureCommand() *cobra.Command {
	return &cobra.Command{Use: "posture", Short: "Say what is open, weak, unlimited or expired, each with its fix", Args: cobra.NoArgs,
		Long:    "Looks at what is in force now: routes open to everybody, walls that are missing, bodies without a contract, callers\nwithout a rate, keys that may everything or that nobody needs any more.",
		Example: "  casemate posture\n  casemate posture --json | jq '.[] | select(.severity == \"high\")'", RunE: func(cmd *cobra.Command, _ []string) error {
			var fs []node.Finding
			if err := a.call(cmd.Context(), "posture", nil, &fs); err != nil {
				return err
			}
			return a.show(fs, func(w io.Writer) {
				if len(fs) == 0 {
					fmt.Fprintln(w, "nothing is open, weak, unlimited or expired")
					return
				}
				t := newTable("SEVERITY", "KIND", "WHAT", "WHY", "FIX")
				for _, f := range fs {
					t.add(f.Severity, f.Kind, f.What, f.Why, f.Fix)
				}
				t.print(w)
			})
		}}
}
