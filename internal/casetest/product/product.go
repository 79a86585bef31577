// Package product gives tests the program itself, as it is shipped: linked once, however many packages start it.
package product

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Casemate puts the program at out, whose folder is made. It is the one that CASEMATE_BINARY names, which make test has built
// just before, or else one that is built now. Each caller has a name of its own for it, so that the program of a process tells whose it is.
func Casemate(out string) error {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	if made := os.Getenv("CASEMATE_BINARY"); made != "" {
		if os.Link(made, out) == nil {
			return nil
		}
		return duplicate(out, made) // it is on another disk
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "casemate/cmd/casemate")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building casemate: %w\n%s", err, text)
	}
	return nil
}

func duplicate(out, made string) error {
	from, err := os.Open(made)
	if err != nil {
		return fmt.Errorf("CASEMATE_BINARY: %w", err)
	}
	defer from.Close()
	to, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
