"""The debugger of a Python function, at 127.0.0.1:5678 of its sandbox: debugpy where the code or a layer brings it, else pdb
at breakpoint(), for whoever connects. The node starts the runtime with --debug only where a developer asked it to."""

import os
import socket
import sys

ADDRESS = ("127.0.0.1", 5678)


class Wire:
    """One client's connection as pdb's input and output. One that has gone says nothing more and hears nothing."""

    def __init__(self, conn):
        self.conn = conn
        self.said, self.heard = (conn.makefile(mode, encoding="utf-8", errors="replace", newline="\n") for mode in "rw")
        self.gone = False

    def attempt(self, do, otherwise):
        try:
            return otherwise if self.gone else do()
        except (OSError, ValueError):
            self.gone = True
            return otherwise

    def left(self):
        """Whether the client has gone, as far as that has arrived."""
        try:
            self.gone = self.gone or self.conn.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True
        return self.gone

    def readline(self):
        line = self.attempt(self.said.readline, "")
        if not line:
            self.gone = True
            self.conn.close()
        return line

    def write(self, text):
        self.attempt(lambda: self.heard.write(text), 0)
        return len(text)

    def flush(self):
        self.attempt(self.heard.flush, None)


def pdb_at_breakpoints():
    """Has breakpoint() wait for a client, and give it pdb."""
    listener = socket.create_server(ADDRESS, backlog=1)
    session = {}

    def hook(*_, **__):
        import pdb

        class Remote(pdb.Pdb):
            def do_EOF(self, arg):  # the client has gone: the function goes on
                return self.do_continue(arg)

            do_q = do_quit = do_exit = do_EOF  # the end of the session and not of the function

        wire = session.get("wire")
        if wire is None or wire.left():
            os.write(2, b"breakpoint() waits for a debugger\n")
            wire = session["wire"] = Wire(listener.accept()[0])
        debugger = Remote(stdin=wire, stdout=wire, nosigint=True, readrc=False)
        debugger.prompt = "(Pdb) "
        debugger.set_trace(sys._getframe(1))

    sys.breakpointhook = hook


def start():
    try:
        from debugpy import listen
    except ImportError:
        pdb_at_breakpoints()
        return
    # In this process: a sandbox starts no other program.
    listen(ADDRESS, in_process_debug_adapter=True)
