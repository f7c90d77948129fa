#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What conmon and containerd's shim do: run a command that leaves a process behind, be the parent of
that process, and print its exit status (128+n for signal n).

usage: subreaper.py [--signal NAME] [--then CMD…] PIDFILE COMMAND…
The pid is what COMMAND has written to PIDFILE by the time it exits. With --signal, that pid is sent
the signal once, half a second later."""
import ctypes
import os
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36

args = sys.argv[1:]
sig = None
after = None
while args[0] in ("--signal", "--then"):
    if args[0] == "--signal":
        sig = getattr(signal, "SIG" + args[1])
    else:
        after = args[1]
    args = args[2:]
pidfile, command = args[0], args[1:]

assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
with open(os.environ.get("SUBREAPER_OUT", "/dev/null"), "ab") as out:
    rc = subprocess.call(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, close_fds=False)
if rc != 0:
    sys.exit("%s failed: %d" % (" ".join(command), rc))
pid = int(open(pidfile).read())
if after:
    subprocess.check_call(["sh", "-c", after])
if sig:
    time.sleep(0.5)
    os.kill(pid, sig)
_, status = os.waitpid(pid, 0)
print(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
