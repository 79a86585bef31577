// Command guest is the unruly function of the battery: it carries out the attack that its event names, and answers
// whether it worked. It speaks the Lambda Runtime API itself, with nothing but the standard library.
//
// Every attack is bounded, and takes back what it did where it can: without walls it is the suite's own cell that it hits.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// order is what to do.
type order map[string]string

// answer is what came of it, in the guest's own eyes. The suite looks for itself as well.
type answer struct {
	Worked bool   `json:"worked"`
	Detail string `json:"detail"`
	Absent bool   `json:"absent,omitempty"` // this kernel does not have what the attack is after
}

func worked(format string, args ...any) answer {
	return answer{Worked: true, Detail: fmt.Sprintf(format, args...)}
}
func failed(err error) answer { return answer{Detail: fmt.Sprint(err)} }

// absent is failed, where the error may say that the kernel was built without the thing.
func absent(err error) answer {
	a := failed(err)
	a.Absent = errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.ENOENT)
	return a
}

// kept lives as long as the process: what it holds at a later event has been left by an earlier one.
var kept canary

// api is the Runtime API of this sandbox.
type api struct {
	base string
	id   string // of the event being worked on
}

func main() {
	if len(os.Args) > 1 {
		os.Exit(role(os.Args[1], os.Args[2:]))
	}
	a := &api{base: "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"}
	for {
		if err := a.serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// serve works on one event.
func (a *api) serve() error {
	resp, err := http.Get(a.base + "next")
	if err != nil {
		return err
	}
	event, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return err
	}
	a.id = resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
	out, err := json.Marshal(a.carryOut(event))
	if err != nil {
		return err
	}
	resp, err = http.Post(a.base+a.id+"/response", "application/json", bytes.NewReader(out))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return err
}

func (a *api) carryOut(event []byte) (out answer) {
	defer func() {
		if r := recover(); r != nil {
			out = answer{Detail: fmt.Sprintf("panic: %v\n%s", r, debug.Stack())}
		}
	}()
	var request struct{ Body string }
	var o order
	if err := json.Unmarshal(event, &request); err != nil {
		return failed(err)
	}
	if err := json.Unmarshal([]byte(request.Body), &o); err != nil {
		return failed(err)
	}
	f, ok := attacks()[o["attack"]]
	if !ok {
		return failed(fmt.Errorf("no attack %q", o["attack"]))
	}
	return f(a, o)
}

// attacks are all it can do, by name.
func attacks() map[string]func(*api, order) answer {
	all := map[string]func(*api, order) answer{"nothing": func(*api, order) answer { return answer{} }}
	c := &kept
	all["plant"], all["look"] = c.plant, c.look
	for _, set := range []map[string]func(*api, order) answer{resources(), processes(), kernel(), files(), network(), programs(), outward(), credentials(), floods()} {
		for name, f := range set {
			all[name] = f
		}
	}
	return all
}
