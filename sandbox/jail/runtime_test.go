package jail

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"casemate/sandbox/jail/stage"
)

// runtimeSpec is a jail with the machine's own userland for an interpreter; it skips where there is none.
func runtimeSpec(t testing.TB, name, profile string, args ...string) Spec {
	t.Helper()
	path := ""
	for _, p := range []string{"/usr/bin/" + name, "/usr/local/bin/" + name} {
		if _, err := os.Stat(p); err == nil {
			path = p
		}
	}
	if path == "" {
		if _, err := exec.LookPath(name); err == nil {
			t.Skipf("%s is not in the system's folders", name)
		}
		t.Skipf("no %s on this machine", name)
	}
	uid := stage.UID
	if isRoot() {
		uid = poolBase + poolSize + 2
	}
	s := Spec{
		UID: uid, Argv: append([]string{path}, args...), Env: []string{"PATH=/usr/bin:/bin", "HOME=/tmp"}, Profile: profile,
		Etc:    map[string][]byte{"/etc/hosts": []byte("127.0.0.1 localhost\n"), "/etc/resolv.conf": []byte("nameserver 169.254.100.2\noptions timeout:1 attempts:1\n"), "/etc/passwd": fmt.Appendf(nil, "u:x:%d:%d::/tmp:/bin/false\n", uid, uid)},
		Limits: Limits{MemoryBytes: 512 << 20},

		AllowWeak: !isRoot(),
	}
	if !isRoot() {
		s.UID = 0
	}
	for _, dir := range []string{"/usr", "/lib", "/lib64", "/bin"} {
		real, err := filepath.EvalSymlinks(dir)
		if err != nil {
			continue
		}
		s.Mounts = append(s.Mounts, Mount{Source: real, Target: dir, Exec: true})
	}
	return s
}

// nodeScript tries what functions for Node do.
const nodeScript = `
const fs=require('fs'),os=require('os'),cp=require('child_process'),crypto=require('crypto'),zlib=require('zlib'),net=require('net');
const {Worker}=require('worker_threads');
const out={};
const t=(n,f)=>{try{out[n]=String(f())}catch(e){out[n]='ERR '+(e.code||e.message)}};
t('write',()=>{fs.writeFileSync('/tmp/a','x');fs.copyFileSync('/tmp/a','/tmp/b');fs.renameSync('/tmp/b','/tmp/c');return fs.readFileSync('/tmp/c')});
t('rofs',()=>fs.writeFileSync('/x','x'));
t('cpus',()=>os.cpus().length);
t('parallel',()=>os.availableParallelism());
t('mem',()=>os.totalmem()>0);
t('hostname',()=>os.hostname());
t('uptime',()=>os.uptime()>0);
t('loadavg',()=>os.loadavg().length);
t('ifaces',()=>Object.keys(os.networkInterfaces()).length);
t('user',()=>os.userInfo().uid>0);
t('rss',()=>process.memoryUsage().rss>0);
t('cpuusage',()=>process.cpuUsage().user>0);
t('res',()=>process.resourceUsage().maxRSS>0);
t('random',()=>crypto.randomBytes(4).length);
t('scrypt',()=>crypto.scryptSync('a','b',16).length);
t('gzip',()=>zlib.gunzipSync(zlib.gzipSync('hello')));
t('child',()=>cp.execFileSync('/bin/echo',['hi']));
t('shell',()=>cp.execSync('echo $((1+2)) | cat'));
t('watch',()=>{const w=fs.watch('/tmp');w.close();return 1});
t('prio',()=>os.getPriority());
t('wasm',()=>new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0]))?1:0);
const p=[];
p.push(fs.promises.readFile('/etc/hosts').then(b=>out.areadfile=b.length>0));
p.push(new Promise(r=>{const w=new Worker('require("worker_threads").parentPort.postMessage(1)',{eval:true});w.on('message',m=>{out.worker=m});w.on('error',e=>out.worker='ERR '+e.message);w.on('exit',r)}));
p.push(new Promise(r=>{const s=net.createServer(c=>c.end('yo')).listen(0,'127.0.0.1',()=>{net.connect(s.address().port,'127.0.0.1').on('data',d=>{out.loop=String(d)}).on('close',()=>{s.close(r)})})}));
p.push(new Promise(r=>{net.connect(80,'93.184.216.34').on('error',e=>{out.dial=e.code;r()})}));
p.push(new Promise(r=>{net.connect({port:80,host:'2606:2800:220:1::1'}).on('error',e=>{out.dial6=e.code;r()})}));
p.push(new Promise(r=>{const d=require('dgram').createSocket('udp4');d.on('error',e=>out.dgram=e.code);d.send('x',53,'8.8.8.8',e=>{out.dgram=e?e.code:'sent';d.close(r)})}));
Promise.all(p).then(()=>{console.log(JSON.stringify(out));});
`

func TestNodeFindsWhatItNeeds(t *testing.T) {
	s := runtimeSpec(t, "node", "node", "-e", nodeScript)
	got := ask[map[string]any](t, s)
	nice, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // the jail keeps ours; the kernel counts it from 20 downwards
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]any{
		"write": "x", "rofs": "ERR EROFS", "parallel": itoa(runtime.NumCPU()), "mem": "true", "hostname": "casemate", "uptime": "true",
		"rss": "true", "cpuusage": "true", "res": "true", "random": "4", "scrypt": "16", "gzip": "hello", "child": "ERR EPERM", "shell": "ERR EPERM",
		"watch": "1", "prio": itoa(20 - nice), "wasm": "1", "worker": 1.0, "loop": "yo", "areadfile": true, "user": "true",
		"dial": "ECONNREFUSED", "dial6": "ECONNREFUSED", "dgram": "ECONNREFUSED",
	} {
		if got[what] != want {
			t.Errorf("%s: %v, want %v", what, got[what], want)
		}
	}
}

// pythonScript tries what functions for Python do.
const pythonScript = `
import os,sys,json,socket,subprocess,threading,tempfile,hashlib,sqlite3,ssl,time,multiprocessing,asyncio,signal,platform,ctypes
out={}
def t(n,f):
    try: out[n]=str(f())
    except BaseException as e: out[n]='ERR '+repr(e)
t('tmp',lambda: tempfile.NamedTemporaryFile().write(b'x'))
t('rofs',lambda: open('/x','w'))
t('cpus',lambda: os.cpu_count())
t('child',lambda: subprocess.check_output(['/bin/echo','hi']))
t('shell',lambda: subprocess.check_output('echo a | cat',shell=True))
t('thread',lambda: threading.Thread(target=lambda:0).start())
t('sqlite',lambda: sqlite3.connect('/tmp/db').execute('create table a(b)'))
t('fork',lambda: os.waitpid(os.fork() or os._exit(3),0)[1])
t('mp',lambda: multiprocessing.get_context('fork').Process(target=lambda:0).start())
t('mplock',lambda: multiprocessing.Lock())
t('async',lambda: asyncio.run(asyncio.sleep(0)))
t('node',lambda: platform.node())
t('sum',lambda: hashlib.sha256(b'a').name and 'b')
t('time',lambda: time.sleep(0) is None)
t('ssl',lambda: ssl.create_default_context())
t('dial',lambda: socket.create_connection(('93.184.216.34',80),1))
t('name',lambda: socket.getaddrinfo('nowhere.example',80))
t('raw',lambda: socket.socket(socket.AF_INET,socket.SOCK_RAW,1))
t('netlink',lambda: socket.socket(16,3,0))
print(json.dumps(out))
`

func TestPythonFindsWhatItNeeds(t *testing.T) {
	s := runtimeSpec(t, "python3", "python", "-I", "-S", "-c", pythonScript)
	got := ask[map[string]string](t, s)
	for what, want := range map[string]string{
		"tmp": "1", "cpus": itoa(runtime.NumCPU()), "thread": "None", "fork": "768", "mp": "None",
		"async": "None", "node": "casemate", "sum": "b", "time": "True",
	} {
		if got[what] != want {
			t.Errorf("%s: %s, want %s", what, got[what], want)
		}
	}
	for what, want := range map[string]string{"rofs": "Errno 30", "dial": "ConnectionRefusedError", "raw": "PermissionError",
		"netlink": "PermissionError", "child": "PermissionError", "shell": "PermissionError", "sqlite": "Cursor", "ssl": "SSLContext", "name": "gaierror"} {
		if want = strings.ReplaceAll(want, "Errno 30", "OSError(30"); !strings.Contains(got[what], want) {
			t.Errorf("%s: %s, want %s", what, got[what], want)
		}
	}
}
