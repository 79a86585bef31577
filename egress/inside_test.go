package egress

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/sandbox/jail"
)

// ask runs a program in a jail whose only way out is a door, and gives what it wrote and what the door recorded.
func ask(t *testing.T, profile string, argv ...string) (string, []string) {
	t.Helper()
	if _, err := os.Stat(argv[0]); err != nil {
		t.Skipf("no %s on this machine", argv[0])
	}
	var rec recorder
	door := NewDoor(rec.add, time.Now)
	defer door.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	etc := door.Doorway().Etc
	etc["/etc/hosts"] = []byte("127.0.0.1 localhost\n")
	etc["/etc/nsswitch.conf"] = []byte("hosts: files dns\n")
	s := jail.Spec{Argv: argv, Env: []string{"HOME=/tmp", "PATH=/usr/bin"}, Profile: profile, Etc: etc, Listen: door.Doorway().Listen,
		Limits: jail.Limits{MemoryBytes: 512 << 20}, Stdout: w, Stderr: os.Stderr, AllowWeak: os.Geteuid() != 0, OnConnect: door.OnConnect}
	for _, dir := range []string{"/usr", "/lib", "/lib64"} {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			s.Mounts = append(s.Mounts, jail.Mount{Source: real, Target: dir, Exec: true})
		}
	}
	child, err := jail.Start(t.Context(), s)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	for i, spec := range door.Doorway().Listen {
		if strings.HasPrefix(spec, "udp") {
			c, err := child.PacketConn(i)
			if err != nil {
				t.Fatal(err)
			}
			door.Serve(i, nil, c)
			continue
		}
		l, err := child.Listener(i)
		if err != nil {
			t.Fatal(err)
		}
		door.Serve(i, l, nil)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	child.Close()
	door.Close()
	return strings.TrimSpace(string(out)), rec.targets()
}

// TestUnmodifiedProgramsAreToldNo: the answer must be the one that a program takes for "no such host", at once, and not
// for "try again later".
func TestUnmodifiedProgramsAreToldNo(t *testing.T) {
	const javascript = `
const dns=require('dns'),net=require('net');
fetch('https://api.stripe.com/v1').catch(e=>{ console.log(e.cause.code);
dns.resolve4('evil.example',e=>{ console.log(e.code);
net.connect(443,'93.184.216.34').on('error',e=>{ console.log(e.code) }) }) })`
	const python = `
import socket
try: socket.getaddrinfo('api.stripe.com',443)
except socket.gaierror as e: print(e.errno==socket.EAI_NONAME)
try: socket.create_connection(('169.254.169.254',80))
except ConnectionRefusedError: print('refused')`
	t.Run("node", func(t *testing.T) {
		out, effects := ask(t, "node", "/usr/bin/node", "-e", javascript)
		if out != "ENOTFOUND\nENOTFOUND\nECONNREFUSED" {
			t.Errorf("said %q", out)
		}
		if want := []string{"resolve api.stripe.com", "resolve evil.example", "connect 93.184.216.34:443"}; !slices.Equal(effects, want) {
			t.Errorf("recorded %v, want %v", effects, want)
		}
	})
	t.Run("python", func(t *testing.T) {
		out, effects := ask(t, "python", "/usr/bin/python3", "-I", "-S", "-c", python)
		if out != "True\nrefused" {
			t.Errorf("said %q", out)
		}
		if want := []string{"resolve api.stripe.com", "connect 169.254.169.254:80"}; !slices.Equal(effects, want) {
			t.Errorf("recorded %v, want %v", effects, want)
		}
	})
}
