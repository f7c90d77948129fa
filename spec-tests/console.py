#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The other end of a terminal.

usage: console.py --listen SOCKET OUT		receive the terminal's master from a runtime
       console.py --spawn OUT -- COMMAND…	run COMMAND on a new terminal, exit as it does

What the terminal prints is appended to OUT. Commands on stdin, one a line:
	type TEXT	send TEXT and a carriage return
	hex XX…		send these bytes
	size ROWS COLS	resize
	hangup		close the master
The name that came with a received master goes to OUT.name. The end of stdin changes nothing."""
import array
import fcntl
import os
import pty
import selectors
import signal
import socket
import struct
import sys
import termios


def set_size(fd, rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def receive(path, out):
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(1)
    conn, _ = server.accept()
    os.unlink(path)
    fds = array.array("i")
    name, ancillary, _, _ = conn.recvmsg(4096, socket.CMSG_SPACE(16))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data)
    assert len(fds) == 1, "%d fds came with the name" % len(fds)
    with open(out + ".name", "wb") as f:
        f.write(name)
    return fds[0]


def spawn(command):
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    return pid, master


def command(master, line):
    word, _, rest = line.rstrip("\n").partition(" ")
    if word == "type":
        os.write(master, rest.encode() + b"\r")
    elif word == "hex":
        os.write(master, bytes.fromhex(rest))
    elif word == "size":
        set_size(master, *map(int, rest.split()))
    elif word == "hangup":
        return False
    return True


def relay(master, out, child=-1):
    """Until nobody has the terminal open any more, the child has ended, or told to hang up."""
    sel = selectors.DefaultSelector()
    sel.register(master, selectors.EVENT_READ)
    if child >= 0:
        sel.register(child, selectors.EVENT_READ)
    try:
        sel.register(0, selectors.EVENT_READ)
    except PermissionError:	# a file or /dev/null
        pass
    pending = b""
    with open(out, "ab", buffering=0) as f:
        while True:
            ready = [key.fd for key, _ in sel.select()]
            if child in ready and master not in ready:
                return
            for fd in ready:
                if fd == child:
                    continue
                if fd == master:
                    try:
                        data = os.read(master, 65536)
                    except OSError:  # EIO: nobody has the slave open any more
                        data = b""
                    if not data:
                        return
                    f.write(data)
                    continue
                data = os.read(0, 4096)
                if not data:
                    sel.unregister(0)
                pending += data
                while b"\n" in pending:
                    line, pending = pending.split(b"\n", 1)
                    if not command(master, line.decode()):
                        return


def main():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.argv[1] == "--listen":
        out = sys.argv[3]
        master = receive(sys.argv[2], out)
        relay(master, out)
        os.close(master)
        return 0
    out = sys.argv[2]
    pid, master = spawn(sys.argv[4:])
    relay(master, out, os.pidfd_open(pid))
    os.close(master)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


sys.exit(main())
