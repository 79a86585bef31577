package cold

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"casemate"
	"casemate/bench/load"
	"casemate/sandbox"
)

const answer = `"hello"`

// subject is one runtime with the same hello twice: bare, and as a Lambda handler.
type subject struct {
	runtime casemate.Runtime
	handler string
	file    string // of the handler
	lambda  string // its source
	bare    string // source of the bare program; argument 1 is the socket. "": the function itself, at a bare Runtime API
	note    string // what the row is called, besides the runtime
}

var subjects = []subject{
	{"nodejs20.x", "index.handler", "index.js", `exports.handler = async () => "hello"`,
		`require('net').connect(process.argv[2]).end(JSON.stringify("hello") + "\n")`, ""},
	{"python3.11", "app.handler", "app.py", "def handler(e, c): return 'hello'",
		"import json, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\ns.sendall(json.dumps('hello').encode() + b'\\n')\n", ""},
	{"provided.al2023", "bootstrap", "main.go", `package main
import "github.com/aws/aws-lambda-go/lambda"
func main() { lambda.Start(func() (string, error) { return "hello", nil }) }`,
		`package main
import ("encoding/json"; "net"; "os")
func main() {
	c, err := net.Dial("unix", os.Args[1])
	if err != nil { os.Exit(1) }
	if err := json.NewEncoder(c).Encode("hello"); err != nil { os.Exit(1) }
}`, ""},
}

// itself compares a compiled function with its own start, its SDK's included.
func itself(s subject) subject {
	s.bare, s.note = "", " (same program)"
	return s
}

// floorStart starts the bare program and waits for its line.
type floorStart struct {
	argv   []string
	socket string
	api    bool // the program is a function
}

// prepare writes both programs, and compiles them where they are compiled.
func (s subject) prepare(ctx context.Context, found sandbox.Interpreters, dir string) (floorStart, string, error) {
	code := filepath.Join(dir, "code")
	f := floorStart{socket: filepath.Join(dir, "s")}
	if err := os.MkdirAll(code, 0o755); err != nil {
		return f, "", err
	}
	bare := filepath.Join(dir, "bare"+filepath.Ext(s.file))
	if s.runtime.Family() == "provided" {
		f.argv = []string{filepath.Join(dir, "bare")}
		if s.bare == "" {
			f.argv, f.api = []string{filepath.Join(code, "bootstrap")}, true
			return f, code, compile(ctx, filepath.Join(dir, s.file), s.lambda, f.argv[0])
		}
		err := errors.Join(compile(ctx, bare, s.bare, f.argv[0]),
			compile(ctx, filepath.Join(dir, s.file), s.lambda, filepath.Join(code, "bootstrap")))
		return f, code, err
	}
	i, note, err := found.Choose(s.runtime)
	if err != nil {
		return f, "", err
	}
	if note != "" {
		fmt.Fprintln(os.Stderr, "bench:", note)
	}
	f.argv = []string{i.Path, bare}
	if i.Family == "python" {
		f.argv = []string{i.Path, "-I", "-S", bare}
	}
	return f, code, errors.Join(os.WriteFile(bare, []byte(s.bare), 0o644),
		os.WriteFile(filepath.Join(code, s.file), []byte(s.lambda), 0o644))
}

func compile(ctx context.Context, file, source, out string) error {
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, file)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling: %w: %.200s", err, msg)
	}
	return nil
}

// serve starts a function at a Runtime API that does nothing else, and measures to the first byte of its answer.
func (f floorStart) serve(ctx context.Context) (cost, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return cost{}, err
	}
	answered := make(chan string, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "1")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(time.Minute).UnixMilli(), 10))
			io.WriteString(w, "{}")
			return
		}
		body, _ := io.ReadAll(r.Body) // what is missing shows in the comparison
		answered <- string(body)
		<-r.Context().Done()
	})}
	served := make(chan struct{})
	go func() { srv.Serve(l); close(served) }()
	defer func() { srv.Close(); <-served }()
	began, own := time.Now(), load.OwnCPU()
	cmd := exec.CommandContext(ctx, f.argv[0])
	cmd.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + l.Addr().String()}
	if err := cmd.Start(); err != nil {
		return cost{}, err
	}
	select {
	case text := <-answered:
		took := time.Since(began)
		if err := cmd.Process.Kill(); err != nil {
			return cost{}, err
		}
		_ = cmd.Wait() // it was killed
		if text != answer {
			return cost{}, fmt.Errorf("the bare function answered %q", text)
		}
		return cost{took, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() + load.OwnCPU() - own}, nil
	case <-ctx.Done():
		return cost{}, errors.Join(ctx.Err(), cmd.Wait())
	}
}

// start measures from just before the spawn to the first line. Like the subject's, the environment is clean.
func (f floorStart) start(ctx context.Context) (cost, error) {
	if f.api {
		return f.serve(ctx)
	}
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		return cost{}, err
	}
	defer l.Close()
	began, own := time.Now(), load.OwnCPU()
	cmd := exec.CommandContext(ctx, f.argv[0], append(f.argv[1:len(f.argv):len(f.argv)], f.socket)...)
	cmd.Env = []string{}
	if err := cmd.Start(); err != nil {
		return cost{}, err
	}
	line, err := firstLine(ctx, l)
	took := time.Since(began)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return cost{}, err
	}
	if line != answer+"\n" {
		return cost{}, fmt.Errorf("the bare program wrote %q", line)
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() + load.OwnCPU() - own
	return cost{took, cpu}, nil
}

func firstLine(ctx context.Context, l net.Listener) (string, error) {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	c, err := l.Accept()
	if err != nil {
		return "", err
	}
	defer c.Close()
	return bufio.NewReader(c).ReadString('\n')
}
