#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is in the mount namespace of a process, for those who join it.

joined.py PID mounts | ls PATH | cat PATH | write PATH TEXT

Nothing can be executed in that namespace, so nsenter(1) is of no help.
"""

import ctypes
import os
import sys

pid, verb, *rest = sys.argv[1:]
own = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY)
libc = ctypes.CDLL(None, use_errno=True)
if libc.setns(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), 0x20000) != 0:  # CLONE_NEWNS
    sys.exit(f"setns: {os.strerror(ctypes.get_errno())}")
try:
    if verb == "mounts":  # mount point and options
        with os.fdopen(os.open("mountinfo", os.O_RDONLY, dir_fd=own)) as f:
            for line in f:
                print(*line.split()[4:6])
    elif verb == "ls":
        print(*sorted(os.listdir(rest[0])), sep="\n")
    elif verb == "cat":
        with open(rest[0], encoding="utf-8") as f:
            print(f.read(), end="")
    elif verb == "write":
        with open(rest[0], "w", encoding="utf-8") as f:
            print(rest[1], file=f)
except OSError as e:
    sys.exit(str(e))
