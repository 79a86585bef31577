"""The canaries of Python: leaves a token in every place that it can find, or looks for one."""
import builtins
import json
import os
import socket
import sys
import threading

PLACES = ["/tmp/canary", "/var/task/canary", "./canary", "/dev/shm/canary", "/canary"]
memory = []
held = []


def listen(family, address, token):
    s = socket.socket(family)
    s.bind(address)
    s.listen()
    held.append(s)

    def answer():
        while True:
            c, _ = s.accept()
            c.sendall(token.encode())
            c.close()

    threading.Thread(target=answer, daemon=True).start()


def plant(token):
    memory.append(token)
    builtins.canary = token
    sys.modules["canary"] = token
    os.environ["CANARY"] = token
    for place in PLACES:
        try:
            with open(place, "w") as f:
                f.write(token)
        except OSError:
            pass
    listen(socket.AF_INET, ("127.0.0.1", 7777), token)
    listen(socket.AF_UNIX, "\0canary", token)
    if os.fork() == 0:
        threading.Event().wait(60)
        os._exit(0)


def knock(family, address):
    try:
        with socket.socket(family) as s:
            s.settimeout(5)
            s.connect(address)
            return s.recv(100) != b""
    except OSError:
        return False


def scan(head, tail):
    """Searches its own memory for both halves side by side, without ever putting them so."""
    head, tail = head.encode(), tail.encode()
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as mem:
        for line in maps:
            span, access = line.split()[:2]
            start, end = (int(x, 16) for x in span.split("-"))
            if not access.startswith("rw"):
                continue
            while start < end:
                try:
                    mem.seek(start)
                    block = mem.read(min(end - start, 1 << 16))
                except (OSError, OverflowError):
                    break
                at = block.find(head)
                while at >= 0:
                    if block.startswith(tail, at + len(head)):
                        return True
                    at = block.find(head, at + 1)
                start += max(len(block), 1)
    return False


def look(order):
    found = []
    if memory:
        found.append("memory")
    if hasattr(builtins, "canary") or "canary" in sys.modules:
        found.append("globals")
    if "CANARY" in os.environ:
        found.append("environment")
    found += [p for p in PLACES if os.path.exists(p)]
    if knock(socket.AF_INET, ("127.0.0.1", 7777)):
        found.append("socket")
    if knock(socket.AF_UNIX, "\0canary"):
        found.append("abstract socket")
    if any(p.isdigit() and int(p) != os.getpid() for p in os.listdir("/proc")):
        found.append("process")
    if scan(order["head"], order["tail"]):
        found.append("bytes in memory")
    return ", ".join(found)


def handler(event, context):
    order = json.loads(event["body"])
    if order["attack"] == "plant":
        plant(order["head"] + order["tail"])
        return {"worked": False, "detail": "planted"}
    found = look(order)
    return {"worked": found != "", "detail": found}
