package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// workshop makes the functions of sdk/ with real AWS SDKs, each once and only when a script asks for it: they come from
// package registries, or from what is installed.
type workshop struct {
	mu   sync.Mutex
	dir  string
	made map[string]error // by language; nil: it is there
}

// bench is where the functions of this run are made; TestMain removes it.
var bench = workshop{made: map[string]error{}}

// errNoTool says that a language's tools are not on this machine: a script is left out then, but on CI.
var errNoTool = errors.New("not on this machine")

// make gives the folder of a language's function.
func (w *workshop) make(ctx context.Context, language string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	dir := filepath.Join(w.dir, language)
	err, done := w.made[language]
	if done {
		return dir, err
	}
	switch language {
	case "go":
		err = goFunction(ctx, dir)
	case "node":
		err = nodeFunction(ctx, dir)
	case "python":
		err = pythonFunction(ctx, dir)
	default:
		return "", fmt.Errorf("there is no function with an SDK in %q", language)
	}
	w.made[language] = err
	return dir, err
}

func goFunction(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(dir, "bootstrap"), ".")
	cmd.Dir = "sdk/go"
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=", "GOWORK=off")
	return combined(cmd)
}

// nodeFunction has npm fetch the SDK. A registry that does not answer is no reason to fail elsewhere than on CI.
func nodeFunction(ctx context.Context, dir string) error {
	if _, err := exec.LookPath("npm"); err != nil {
		return fmt.Errorf("npm: %w", errNoTool)
	}
	if err := os.CopyFS(dir, os.DirFS("sdk/node")); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "install", "--omit=dev", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error")
	cmd.Dir = dir
	if err := combined(cmd); err != nil {
		return fmt.Errorf("the SDK for JavaScript is %w: %w", errNoTool, err)
	}
	return prune(filepath.Join(dir, "node_modules"))
}

// prune takes out what no function runs: other module systems, types and maps are three quarters of the packages.
func prune(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "dist-es" || d.Name() == "dist-types"):
			if err := os.RemoveAll(path); err != nil {
				return err
			}
			return fs.SkipDir
		case strings.HasSuffix(path, ".map") || strings.HasSuffix(path, ".d.ts"):
			return os.Remove(path)
		}
		return nil
	})
}

// boto is what boto3 is made of; data of services that no script calls is left out, because it is a hundred megabytes.
var (
	boto     = []string{"boto3", "botocore", "jmespath", "dateutil", "s3transfer", "urllib3", "six.py"}
	botoData = []string{"cloudwatch", "ec2", "iam", "kms", "lambda", "s3", "secretsmanager", "sns", "sqs", "ssm", "sts", "xray"}
)

// pythonFunction takes boto3 from the first interpreter that has it.
func pythonFunction(ctx context.Context, dir string) error {
	if err := os.CopyFS(dir, os.DirFS("sdk/python")); err != nil {
		return err
	}
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		const where = "import boto3, botocore, jmespath, dateutil, s3transfer, urllib3, six\nfor m in boto3, botocore, jmespath, dateutil, s3transfer, urllib3, six: print(m.__file__)"
		out, err := exec.CommandContext(ctx, python, "-c", where).Output()
		if err != nil {
			continue
		}
		for i, file := range strings.Fields(string(out)) {
			if err := copyPackage(filepath.Join(dir, boto[i]), strings.TrimSuffix(file, "/__init__.py")); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("boto3: %w", errNoTool)
}

func copyPackage(to, from string) error {
	if strings.HasSuffix(from, ".py") {
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o644)
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		parts := strings.Split(rel, "/")
		if d.IsDir() {
			if d.Name() == "__pycache__" || len(parts) == 2 && parts[0] == "data" && filepath.Base(from) == "botocore" && !slices.Contains(botoData, parts[1]) {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o644)
	})
}

func combined(cmd *exec.Cmd) error {
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, text)
	}
	return nil
}

// hasSDK is the condition [sdk:LANGUAGE].
func hasSDK(language string) (bool, error) {
	_, err := bench.make(context.Background(), language)
	if !errors.Is(err, errNoTool) {
		return err == nil, err
	}
	return missing("what calls services with the SDK in "+language, err.Error())
}

// sdk puts the function with a language's SDK into a folder.
func sdk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sdk go|node|python DIR")
	}
	dir, err := bench.make(of(ts).ctx, args[0])
	ts.Check(err)
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), os.DirFS(dir)))
}
