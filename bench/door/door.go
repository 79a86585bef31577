// Package door measures what the way out of a sandbox costs: the same client and server, directly over loopback, and from
// inside a jail through a door. The server is a process of its own either way; the door runs in this one, as in a node.
package door

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"casemate"
	"casemate/bench/load"
	"casemate/egress"
	"casemate/sandbox/jail"
)

// Row is one measured quantity; the subject goes through the door.
type Row struct {
	What string `json:"what"`
	Unit string `json:"unit"`
	load.Figure
}

// part is one quantity: the client's mode, how often, and on which of the server's two ports.
type part struct {
	what, unit, mode string
	n, port          int
}

// fetch is the mode whose client is Node, unmodified; the others' is the peer.
const fetch = "fetch"

var parts = []part{
	{"Node's fetch of a page", "ms", fetch, 400, 1},
	{"Go's HTTP request", "ms", "http", 1000, 1},
	{"connection and one byte", "ms", "connect", 300, 0},
	{"one byte to and fro", "ms", "rtt", 2000, 0},
	{"download", "MiB/s", "down", 400, 0},
}

// script is Node's client: the median of n requests, in milliseconds.
const script = `
const [host,port,n]=process.argv.slice(1);
(async()=>{
const took=[];
for(let i=0;i<n;i++){ const t=performance.now(); await (await fetch('http://'+host+':'+port+'/')).arrayBuffer(); took.push(performance.now()-t) }
console.log(took.sort((a,b)=>a-b)[n>>1]);
process.exit(0);
})()`

// client is the command of a mode, with the folders that it needs in a jail.
func (s *stand) client(p part, peer, host string) (argv []string, folders []string) {
	if p.mode == fetch {
		return []string{"/usr/bin/node", "-e", script, host, s.ports[p.port], strconv.Itoa(p.n)}, []string{"/usr", "/lib", "/lib64"}
	}
	return []string{peer, p.mode, host, s.ports[p.port], strconv.Itoa(p.n)}, nil
}

// host is what the door's policy grants.
const host = "server.example.test"

// stand is the two ends and the way between them.
type stand struct {
	peer  string // program
	ports [2]string
	out   *egress.Egress
	weak  bool
}

// Measure runs reps repetitions of about three seconds each. It needs a Go toolchain. weak goes on although walls of the
// jail are missing.
func Measure(ctx context.Context, reps int, weak bool) (rows []Row, err error) {
	dir, err := os.MkdirTemp("", "casemate-door-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	s := &stand{peer: filepath.Join(dir, "peer"), weak: weak}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", s.peer, "casemate/bench/door/peer")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the peer: %w: %s", err, text)
	}
	stop, err := s.serve(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for _, p := range parts {
		if _, err := os.Stat("/usr/bin/node"); p.mode == fetch && err != nil {
			continue // a machine without it has the other rows
		}
		var runs [][4]float64
		for range reps {
			var r [4]float64
			for k, f := range [4]func(context.Context, part) (float64, error){s.direct, s.behind, s.behind, s.direct} {
				if r[k], err = f(ctx, p); err != nil {
					return nil, fmt.Errorf("%s: %w", p.what, err)
				}
			}
			runs = append(runs, r)
		}
		rows = append(rows, Row{p.what, p.unit, load.ABBA(runs)})
	}
	return rows, nil
}

// serve starts the server and the way out to it.
func (s *stand) serve(ctx context.Context) (stop func() error, err error) {
	cmd := exec.CommandContext(ctx, s.peer, "serve")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the server: %w", err)
	}
	end := func() error {
		_ = cmd.Process.Kill() // fails only when it is gone
		_ = cmd.Wait()         // it was killed
		if s.out != nil {
			return s.out.Close()
		}
		return nil
	}
	if _, err := fmt.Fscan(out, &s.ports[0], &s.ports[1]); err != nil {
		return nil, errors.Join(fmt.Errorf("hearing the server's ports: %w", err), end())
	}
	pinned := map[string]netip.AddrPort{}
	for _, p := range s.ports {
		pinned[host+":"+p] = netip.MustParseAddrPort("127.0.0.1:" + p)
	}
	if s.out, err = egress.New(egress.Config{Pinned: pinned}); err != nil {
		return nil, errors.Join(err, end())
	}
	return end, nil
}

// direct runs the client beside the server.
func (s *stand) direct(ctx context.Context, p part) (float64, error) {
	argv, _ := s.client(p, s.peer, "127.0.0.1")
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{} // as in the jail
	text, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("the client: %w", err)
	}
	return strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
}

// behind runs it in a jail, behind a door.
func (s *stand) behind(ctx context.Context, p part) (float64, error) {
	number, err := strconv.ParseUint(s.ports[p.port], 10, 16)
	if err != nil {
		return 0, err
	}
	d, err := s.out.Door(egress.Opening{Version: &casemate.Version{Function: "bench", Limits: casemate.Limits{Traffic: 1 << 40}}, Record: func(casemate.Effect) {},
		Grants: []egress.Grant{{Port: uint16(number)}},
		Decide: func(name string, port uint16) casemate.Decision {
			return casemate.Decision{Verdict: map[bool]casemate.Verdict{true: casemate.Allowed}[name == host && port == uint16(number)]}
		}})
	if err != nil {
		return 0, err
	}
	defer d.Close()
	d.Begin(&casemate.Launch{})
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	way := d.Doorway()
	argv, folders := s.client(p, "/peer", host)
	spec := jail.Spec{Argv: argv, Profile: "node", Etc: way.Etc, Listen: way.Listen, OnConnect: d.OnConnect,
		Mounts: []jail.Mount{{Source: s.peer, Target: "/peer", Exec: true}}, Limits: jail.Limits{MemoryBytes: 512 << 20}, Stdout: w, Stderr: os.Stderr, AllowWeak: s.weak}
	if p.mode != fetch {
		spec.Profile = "provided"
	}
	for _, f := range folders {
		if real, err := filepath.EvalSymlinks(f); err == nil {
			spec.Mounts = append(spec.Mounts, jail.Mount{Source: real, Target: f, Exec: true})
		}
	}
	child, err := jail.Start(ctx, spec)
	_ = w.Close() // the jail has its own
	if err != nil {
		return 0, err
	}
	defer child.Close()
	if err := serve(child, d, way.Listen); err != nil {
		return 0, err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return 0, err
	}
	if exit, err := child.Wait(); err != nil || exit.Code != 0 {
		return 0, fmt.Errorf("the client in the jail ended with %+v, %w", exit, err)
	}
	return strconv.ParseFloat(string(bytes.TrimSpace(text)), 64)
}

// serve hands the sockets of the jail to the door.
func serve(child *jail.Child, d *egress.Door, listen []string) error {
	for i, text := range listen {
		if strings.HasPrefix(text, "udp ") {
			c, err := child.PacketConn(i)
			if err != nil {
				return err
			}
			d.Serve(i, nil, c)
			continue
		}
		l, err := child.Listener(i)
		if err != nil {
			return err
		}
		d.Serve(i, l, nil)
	}
	return nil
}
