package egress

import (
	"context"
	"encoding/pem"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"casemate"
	"casemate/sandbox/jail"
)

// ask runs a program in a jail whose only way out is a door, and gives what it wrote and the targets of what the door
// recorded.
func ask(t *testing.T, profile string, argv ...string) (string, []string) {
	t.Helper()
	var rec recorder
	e, err := New(Config{Resolver: &zone{}})
	if err != nil {
		t.Fatal(err)
	}
	said := behind(t, e, opening(&rec), jail.Spec{Profile: profile, Argv: argv})
	return said, rec.targets()
}

// behind runs a program behind a door and gives what it wrote.
func behind(t *testing.T, e *Egress, o Opening, s jail.Spec) string {
	t.Helper()
	if _, err := os.Stat(s.Argv[0]); err != nil && len(s.Mounts) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no %s on this machine, and CI has to have it", s.Argv[0])
		}
		t.Skipf("*** LEFT OUT: no %s on this machine ***", s.Argv[0])
	}
	door, err := e.Door(o)
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	etc := door.Doorway().Etc
	maps.Copy(etc, s.Etc)
	etc["/etc/hosts"] = []byte("127.0.0.1 localhost\n")
	etc["/etc/nsswitch.conf"] = []byte("hosts: files dns\n")
	s.Env = append(s.Env, "HOME=/tmp", "PATH=/usr/bin")
	s.Etc, s.Listen, s.OnConnect = etc, door.Doorway().Listen, door.OnConnect
	s.Limits, s.AllowWeak = jail.Limits{MemoryBytes: 512 << 20}, os.Geteuid() != 0
	s.Stdout, s.Stderr = w, w
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
	return strings.TrimSpace(string(out))
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

// somewhere is an outside world of HTTPS, HTTP and plain sockets, a way out to it, and the certificate that its clients
// must trust.
func somewhere(t *testing.T) (*Egress, []byte) {
	t.Helper()
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
			return
		}
		io.WriteString(w, "hello "+r.Host)
	})
	secure, plain := httptest.NewTLSServer(answer), httptest.NewServer(answer)
	t.Cleanup(secure.Close)
	t.Cleanup(plain.Close)
	e, err := New(*pin("example.com:443", netip.MustParseAddrPort(secure.Listener.Addr().String()),
		"example.com:80", netip.MustParseAddrPort(plain.Listener.Addr().String()), "echo.example.com:7", outside(t, echo)))
	if err != nil {
		t.Fatal(err)
	}
	return e, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
}

// TestUnmodifiedPrograms reach what was granted by the names that they know, and are told no in their own words
// everywhere else.
func TestUnmodifiedPrograms(t *testing.T) {
	e, ca := somewhere(t)
	trust := map[string][]byte{"/etc/ca.pem": ca}
	const javascript = `
const net=require('net'),https=require('https');
const text=u=>fetch(u).then(r=>r.text(),e=>e.cause.code);
(async()=>{
console.log(await text('https://example.com/'));
console.log(await new Promise(ok=>https.get('https://example.com/',r=>r.on('data',d=>ok(''+d)))));
console.log(await text('http://example.com/'));
console.log(await text('https://example.com/away'));
console.log(await text('https://example.com:8443/'));
console.log(await text('http://0x7f000001/'));
console.log(await new Promise(ok=>{const c=net.connect(7,'echo.example.com',()=>c.write('ping'));c.on('data',d=>{ok(''+d);c.end()})}));
})()`
	const python = `
import socket,urllib.request,urllib.error
def text(u):
  try: return urllib.request.urlopen(u).read().decode()
  except urllib.error.URLError as e: return type(e.reason).__name__
for u in ['https://example.com/','http://example.com/','https://example.com/away','https://evil.example/']: print(text(u))
c=socket.create_connection(('echo.example.com',7)); c.sendall(b'ping'); print(c.recv(4).decode())`
	client := filepath.Join(t.TempDir(), "client")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", client, "./testdata/client")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	go1 := jail.Spec{Profile: "provided", Argv: []string{"/client", "https://example.com/", "http://example.com/"}, Env: []string{"SSL_CERT_FILE=/etc/ca.pem"},
		Mounts: []jail.Mount{{Source: client, Target: "/client", Exec: true}}}
	for name, c := range map[string]struct {
		spec  jail.Spec
		lines string
		conns int
	}{
		"node": {jail.Spec{Profile: "node", Argv: []string{"/usr/bin/node", "-e", javascript}, Env: []string{"NODE_EXTRA_CA_CERTS=/etc/ca.pem"}},
			"hello example.com\nhello example.com\nhello example.com\nECONNREFUSED\nECONNREFUSED\nECONNRESET\nping", 1},
		"python": {jail.Spec{Profile: "python", Argv: []string{"/usr/bin/python3", "-I", "-S", "-c", python}, Env: []string{"SSL_CERT_FILE=/etc/ca.pem"}},
			"hello example.com\nhello example.com\nConnectionRefusedError\ngaierror\nping", 1},
		"curl": {jail.Spec{Profile: "provided", Argv: []string{"/usr/bin/curl", "-sS", "--cacert", "/etc/ca.pem", "--write-out", "\n", "https://example.com/", "http://example.com/", "http://evil.example/"}},
			"hello example.com\nhello example.comcurl: (6) Could not resolve host: evil.example", 1},
		"go": {go1, "hello example.com\nhello example.com\nping <nil>", 1},
	} {
		t.Run(name, func(t *testing.T) {
			var rec recorder
			c.spec.Etc = trust
			said := behind(t, e, opening(&rec, "example.com:443", "example.com:80", "echo.example.com:7"), c.spec)
			if said != c.lines {
				t.Errorf("said %q", said)
			}
			i := slices.IndexFunc(rec.all(), func(e casemate.Effect) bool { return e.Target == "example.com:443" && e.Verdict == casemate.Allowed })
			if i < 0 || rec.all()[i].Count < c.conns || rec.all()[i].In < 1000 {
				t.Errorf("recorded %+v", rec.all())
			}
		})
	}
}

// TestNetworksOfBothFamilies: where IPv6 addresses are granted too, one socket inside takes both families.
func TestNetworksOfBothFamilies(t *testing.T) {
	e, err := New(*pin("echo.example.com:7", outside(t, echo)))
	if err != nil {
		t.Fatal(err)
	}
	server := outside(t, echo)
	var mu sync.Mutex
	var addresses []string
	e.dials.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		mu.Lock()
		addresses = append(addresses, address)
		mu.Unlock()
		return (&net.Dialer{}).DialContext(ctx, network, server.String())
	}
	const python = `
import socket
for at in ['fd00::1','10.0.0.1','::ffff:10.0.0.2','echo.example.com','fe80::1','::1']:
  try: c=socket.create_connection((at,7)); c.sendall(b'ping'); print(c.recv(4).decode())
  except OSError as e: print(type(e).__name__)`
	var rec recorder
	said := behind(t, e, opening(&rec, "fd00::/8:7", "10.0.0.0/8:7", "echo.example.com:7"), jail.Spec{Profile: "python", Argv: []string{"/usr/bin/python3", "-I", "-S", "-c", python}})
	if said != "ping\nping\nping\nping\nConnectionRefusedError\nConnectionResetError" {
		t.Errorf("said %q", said)
	}
	slices.Sort(addresses)
	if len(addresses) != 4 || addresses[0] != "10.0.0.1:7" || addresses[1] != "10.0.0.2:7" || addresses[3] != "[fd00::1]:7" {
		t.Errorf("dialled %q", addresses)
	}
}
