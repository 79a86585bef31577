package jail

import (
	"maps"
	"sync"
	"testing"

	"casemate/sandbox/jail/calls"
)

const moreOfPython = `
import os,sys,socket,select,signal,time,threading,mmap,fcntl,termios,resource,json,tempfile,shutil,stat,ctypes,subprocess
n=[0]
def t(f):
    try: f()
    except BaseException: n[0]+=1
os.chdir('/tmp'); open('a','w').write('x'); f=os.open('a',os.O_RDWR)
for g in [lambda: os.pread(f,1,0), lambda: os.pwrite(f,b'x',0), lambda: os.preadv(f,[bytearray(1)],0), lambda: os.pwritev(f,[b'x'],0), lambda: os.preadv(f,[bytearray(1)],0,os.RWF_HIPRI), lambda: os.pwritev(f,[b'x'],0,os.RWF_SYNC),
 lambda: os.readv(f,[bytearray(1)]), lambda: os.writev(f,[b'x']), lambda: os.lseek(f,0,0), lambda: os.fsync(f), lambda: os.fdatasync(f), lambda: os.ftruncate(f,9), lambda: os.truncate('a',9), lambda: os.posix_fallocate(f,0,9),
 lambda: os.posix_fadvise(f,0,0,0), lambda: os.fchmod(f,0o600), lambda: os.chmod('a',0o600), lambda: os.fchown(f,-1,-1), lambda: os.chown('a',-1,-1), lambda: os.lchown('a',-1,-1), lambda: os.utime('a'), lambda: os.statvfs('/tmp'), lambda: os.fstatvfs(f),
 lambda: os.access('a',4), lambda: os.access('a',4,effective_ids=True), lambda: os.stat('a'), lambda: os.lstat('a'), lambda: os.fstat(f), lambda: os.link('a','b'), lambda: os.symlink('a','c'), lambda: os.readlink('c'), lambda: os.rename('b','d'), lambda: os.replace('d','e'),
 lambda: os.unlink('e'), lambda: os.mkdir('dir'), lambda: os.rmdir('dir'), lambda: os.listdir('.'), lambda: list(os.scandir('.')), lambda: os.getcwd(), lambda: os.fchdir(os.open('.',0)), lambda: os.umask(0o22), lambda: os.getxattr('a','user.x'), lambda: os.getxattr('a','user.x',follow_symlinks=False),
 lambda: os.getxattr(f,'user.x'), lambda: os.listxattr('a'), lambda: os.listxattr('a',follow_symlinks=False), lambda: os.listxattr(f), lambda: os.copy_file_range(f,os.open('g',os.O_CREAT|os.O_RDWR),1), lambda: shutil.copyfile('a','h'), lambda: os.sendfile(os.open('g',os.O_RDWR),f,0,1), lambda: os.pipe(), lambda: os.pipe2(0),
 lambda: os.splice(f,os.pipe()[1],1,offset_src=0), lambda: os.dup(f), lambda: os.dup2(f,50), lambda: os.dup2(f,51,inheritable=False), lambda: fcntl.flock(f,fcntl.LOCK_EX), lambda: fcntl.lockf(f,fcntl.LOCK_EX), lambda: fcntl.ioctl(f,0x541b,b'1234'), lambda: os.isatty(f), lambda: os.get_terminal_size(f), lambda: os.get_blocking(f), lambda: os.set_blocking(f,False),
 lambda: os.memfd_create('x'), lambda: os.eventfd(0), lambda: os.closerange(60,70), lambda: os.getpid(), lambda: os.getppid(), lambda: os.getpgid(0), lambda: os.getpgrp(), lambda: os.setpgid(0,0), lambda: os.getsid(0), lambda: os.setsid(), lambda: os.getuid(), lambda: os.geteuid(), lambda: os.getgid(), lambda: os.getegid(),
 lambda: os.getresuid(), lambda: os.getresgid(), lambda: os.getgroups(), lambda: os.getpriority(0,0), lambda: os.setpriority(0,0,19), lambda: os.nice(1), lambda: os.sched_yield(), lambda: os.sched_getaffinity(0), lambda: os.sched_setaffinity(0,os.sched_getaffinity(0)), lambda: os.sched_getparam(0), lambda: os.sched_getscheduler(0),
 lambda: os.sched_setscheduler(0,0,os.sched_param(0)), lambda: os.sched_get_priority_max(0), lambda: os.sched_get_priority_min(0), lambda: os.sched_rr_get_interval(0), lambda: os.times(), lambda: os.uname(), lambda: os.getrandom(1), lambda: os.urandom(1), lambda: os.getloadavg(), lambda: os.sysconf('SC_PHYS_PAGES'), lambda: os.cpu_count(),
 lambda: os.waitpid(os.fork() or os._exit(0),0), lambda: os.waitid(os.P_PID,os.fork() or os._exit(0),os.WEXITED), lambda: os.wait4(os.fork() or os._exit(0),0), lambda: subprocess.run(['/x'],close_fds=True), lambda: os.posix_spawn('/x',['x'],{}), lambda: os.kill(os.getpid(),0), lambda: os.pidfd_open(os.getpid()), lambda: signal.pidfd_send_signal(os.pidfd_open(os.getpid()),0),
 lambda: signal.pthread_kill(threading.get_ident(),0), lambda: signal.raise_signal(0), lambda: signal.setitimer(0,0), lambda: signal.getitimer(0), lambda: signal.alarm(0), lambda: signal.sigtimedwait([],0), lambda: signal.sigpending(), lambda: signal.pthread_sigmask(0,[]), lambda: signal.signal(10,lambda *a:0), lambda: (signal.setitimer(0,0.01),signal.signal(14,lambda *a:0),signal.pause()),
 lambda: time.sleep(0.001), lambda: time.clock_getres(0), lambda: time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID), lambda: time.thread_time(), lambda: select.select([],[],[],0), lambda: select.poll().poll(0), lambda: select.epoll().poll(0), lambda: select.epoll().register(os.pipe()[0]), lambda: mmap.mmap(-1,4096).madvise(4), lambda: mmap.mmap(-1,4096).resize(8192), lambda: mmap.mmap(f,9).flush(),
 lambda: resource.getrlimit(7), lambda: resource.setrlimit(7,resource.getrlimit(7)), lambda: resource.prlimit(0,7), lambda: resource.getrusage(0), lambda: threading.get_native_id(), lambda: os.abort and 0]: t(g)
s=socket.socketpair(); s[0].send(b'x'); s[1].recv(1); s[0].sendmsg([b'x']); s[1].recvmsg(1); t(lambda: s[0].shutdown(2))
l=socket.create_server(('127.0.0.1',0)); c=socket.create_connection(l.getsockname()); a,_=l.accept(); t(lambda: (a.getpeername(),a.getsockopt(1,3),a.setsockopt(1,9,1)))
u=socket.socket(2,2); t(lambda: u.sendto(b'x',('127.0.0.1',9))); t(lambda: u.recvfrom(1,64)); t(lambda: socket.getaddrinfo('localhost',1))
libc=ctypes.CDLL(None); z='zeros'; d=os.open('/tmp',0)
for g in [lambda: os.mkdir('m',dir_fd=d), lambda: os.symlink('a','n',dir_fd=d), lambda: os.link('a','o',src_dir_fd=d,dst_dir_fd=d), lambda: os.unlink('o',dir_fd=d), lambda: os.chmod('a',0o600,dir_fd=d), lambda: os.chown('a',-1,-1,dir_fd=d), lambda: os.access('a',4,dir_fd=d), lambda: os.rename('n','p',src_dir_fd=d)]: t(g)
for name,*args in [('mlock',0,0),('munlock',0,0),('mincore',0,0,0),('pkey_alloc',0,0),('inotify_init1',0),('inotify_add_watch',-1,b'/tmp',1),('inotify_rm_watch',-1,1),('timerfd_create',1,0),('timerfd_settime',-1,0,0,0),('timerfd_gettime',-1,0),('signalfd',-1,z,0),('renameat2',-100,b'x',-100,b'y',1),
 ('statx',-100,b'/tmp',0,0,z),('personality',0xffffffff),('prctl',3),('sync_file_range',-1,0,0,0),('readahead',-1,0,0),('tee',-1,-1,0,0),('recvmmsg',-1,z,0,0,0),('epoll_pwait2',-1,z,1,z,0),('close_range',90,91,0),('dup',0),('preadv',-1,z,0,0),('pwritev',-1,z,0,0),('ppoll',z,0,z,0)]:
    t(lambda: getattr(libc,name)(*[ctypes.create_string_buffer(256) if a is z else a for a in args]))
timer=ctypes.c_void_p(); t(lambda: (libc.timer_create(1,0,ctypes.byref(timer)),libc.timer_settime(timer,0,ctypes.create_string_buffer(256),0),libc.timer_gettime(timer,ctypes.create_string_buffer(256)),libc.timer_getoverrun(timer),libc.timer_delete(timer)))
signal.pthread_sigmask(signal.SIG_BLOCK,[10]); libc.sigqueue(os.getpid(),10,None); libc.sigsuspend(ctypes.create_string_buffer(256)); libc.pthread_sigqueue(ctypes.c_void_p(threading.get_ident()),10,None)
print(n[0])
`

// used lists the calls that a program makes, by asking the notifier about every one.
func used(t *testing.T, s Spec) map[string]bool {
	var mu sync.Mutex
	seen := map[string]bool{}
	s.trace = func(name string) {
		mu.Lock()
		defer mu.Unlock()
		seen[name] = true
	}
	if out, exit, _ := run(t, s); exit.Code != 0 {
		t.Errorf("it ended %+v and said %s", exit, out)
	}
	mu.Lock()
	defer mu.Unlock()
	return maps.Clone(seen)
}

// olderForms are calls that a program for an older kernel, or with musl for its C library, makes in the place of the one
// that the C library of this machine makes.
var olderForms = map[string]string{"accept": "accept4", "creat": "openat", "epoll_create": "epoll_create1", "eventfd": "eventfd2", "faccessat": "faccessat2",
	"fork": "clone", "futimesat": "utimensat", "getdents": "getdents64", "getrlimit": "prlimit64", "inotify_init": "inotify_init1", "lstat": "newfstatat",
	"open": "openat", "pipe": "pipe2", "select": "pselect6", "setrlimit": "prlimit64", "signalfd": "signalfd4", "stat": "newfstatat", "tkill": "tgkill",
	"utime": "utimensat", "utimes": "utimensat", "epoll_wait": "epoll_pwait", "dup2": "dup3", "alarm": "setitimer", "vfork": "clone", "poll": "ppoll",
	"access": "faccessat2", "chmod": "fchmodat", "chown": "fchownat", "lchown": "fchownat", "link": "linkat", "mkdir": "mkdirat", "readlink": "readlinkat",
	"rename": "renameat", "rmdir": "unlinkat", "symlink": "symlinkat", "unlink": "unlinkat", "getpgrp": "getpgid", "nanosleep": "clock_nanosleep", "fchmodat2": "fchmodat"}

// elsewhere are calls that this machine may have no reason to see.
var elsewhere = map[string]string{"clock_gettime": "vDSO", "clock_getres": "vDSO", "gettimeofday": "vDSO", "time": "vDSO", "getcpu": "vDSO",
	"restart_syscall": "the kernel makes it", "pkey_mprotect": "protection keys", "pkey_free": "protection keys", "membarrier": "Java",
	"rseq": "newer C libraries", "arch_prctl": "amd64", "read": "not traced", "write": "not traced", "exit_group": "not traced"}

// TestProfilesHoldNothingUnused: a line that no runtime has a use for is surface for nothing. The scripts do what functions
// may do; what they leave unused must be an older form of what they use, or be explained.
func TestProfilesHoldNothingUnused(t *testing.T) {
	if !isRoot() {
		return // nothing would be different
	}
	seen := used(t, probeSpec(t, "status"))
	for _, s := range []Spec{runtimeSpec(t, "node", "node", "-e", nodeScript), runtimeSpec(t, "python3", "python", "-I", "-S", "-c", pythonScript),
		runtimeSpec(t, "python3", "python", "-I", "-S", "-c", moreOfPython)} {
		maps.Copy(seen, used(t, s))
	}
	for _, profile := range []string{"node", "python", "provided"} {
		names, err := calls.Allowed(profile)
		if err != nil || len(names) < 100 {
			t.Fatal(names, err)
		}
		for _, name := range names {
			if !seen[name] && !seen[olderForms[name]] && elsewhere[name] == "" {
				t.Errorf("%s allows %s, which nothing uses", profile, name)
			}
		}
	}
}
