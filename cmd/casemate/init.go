package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"casemate"
	"casemate/deploy"
	"casemate/deploy/manifest"
)

func (a *app) initCommand() *cobra.Command {
	var language string
	c := &cobra.Command{Use: "init [FOLDER]", Short: "Write a commented casemate.yaml and a function to start from", Args: cobra.MaximumNArgs(1),
		Example: "  casemate init hello --language node\n  casemate init hello --language wasm",
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			abs, err := filepath.Abs(dir)
			if err != nil {
				return fmt.Errorf("finding the folder: %w", err)
			}
			if err := deploy.Scaffold(dir, language, filepath.Base(abs)); err != nil {
				return err
			}
			out := map[string]string{"folder": dir, "language": language}
			return a.show(out, func(w io.Writer) {
				fmt.Fprintf(w, "wrote %s\nnext: casemate up (in another terminal), then casemate deploy %s\nand:  casemate invoke %s --data @%s\n",
					filepath.Join(dir, manifest.File), dir, deploy.AppName(filepath.Base(abs)), filepath.Join(dir, "event.json"))
			})
		}}
	c.Flags().StringVar(&language, "language", "go", "go, node, python or wasm")
	return c
}

// manCommand writes the manual pages that packages ship; the same texts as --help.
func (a *app) manCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "man FOLDER", Short: "Write manual pages, one a verb, into a folder", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
		if err := os.MkdirAll(args[0], 0o755); err != nil {
			return &casemate.Error{Code: casemate.Invalid, Field: "FOLDER", Message: "cannot be made", Hint: "name a folder you may write to", Err: err}
		}
		return doc.GenManTree(root, &doc.GenManHeader{Title: "CASEMATE", Section: "1", Source: "casemate " + version}, args[0])
	}}
}
