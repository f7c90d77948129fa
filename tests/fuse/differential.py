#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same random operations on two directories; anything that differs is an error.

usage: differential.py SEED COUNT TESTED REFERENCE
       differential.py --compare TESTED REFERENCE

TESTED is served by the file system under test, REFERENCE is plain. After each operation results and
errors are compared; now and then, and at the end, the trees: names, types, modes, owners, sizes,
contents, link counts, extended attributes, link targets, times where they were set.
"""
import ctypes
import errno
import fcntl
import mmap
import os
import random
import stat
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
AT_SYMLINK_FOLLOW = 0x400
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
SET_BEFORE = 1_000_000_000 * 10**9  # times set by utime lie before 2001
NAMES = ["a", "b", "c", "d", "e", "long" + "x" * 200, "sp ace", "\u00e4"]
USERS = [(0, 0), (0, 0), (0, 0), (1000, 1000), (1001, 1000)]


def check(result):
    if result < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    return result


class Side:
    """One of the two directories, with its open files by number."""

    def __init__(self, top):
        self.top = top
        self.fds = {}

    def path(self, rel):
        return os.path.join(self.top, rel)

    # ---- each operation takes its arguments, and returns what must be the same on both sides

    def op_create(self, rel, flags, mode, fd):
        self.fds[fd] = os.open(self.path(rel), flags | os.O_CREAT | os.O_NONBLOCK, mode)

    def op_open(self, rel, flags, fd):
        self.fds[fd] = os.open(self.path(rel), flags | os.O_NONBLOCK)

    def op_tmpfile(self, rel, fd, link_to):
        self.fds[fd] = os.open(self.path(rel), os.O_TMPFILE | os.O_RDWR, 0o640)
        if link_to:
            check(LIBC.linkat(AT_FDCWD, b"/proc/self/fd/%d" % self.fds[fd], AT_FDCWD,
                              os.fsencode(self.path(link_to)), AT_SYMLINK_FOLLOW))

    def op_close(self, fd):
        os.close(self.fds.pop(fd))

    def op_pread(self, fd, size, at):
        return os.pread(self.fds[fd], size, at)

    def op_pwrite(self, fd, data, at):
        return os.pwrite(self.fds[fd], data, at)

    def op_append(self, rel, data):
        fd = os.open(self.path(rel), os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
        try:
            return os.write(fd, data)
        finally:
            os.close(fd)

    def op_ftruncate(self, fd, size):
        if os.fstat(self.fds[fd]).st_size == size:
            raise ValueError  # see op_truncate
        os.ftruncate(self.fds[fd], size)

    def op_fstat(self, fd):
        return describe(os.fstat(self.fds[fd]))

    def op_fchmod(self, fd, mode):
        os.fchmod(self.fds[fd], mode)

    def op_fsync(self, fd):
        os.fsync(self.fds[fd])

    def op_fallocate(self, fd, mode, at, size):
        check(LIBC.fallocate(self.fds[fd], mode, ctypes.c_long(at), ctypes.c_long(size)))

    def op_copy(self, src, dst, size, src_at, dst_at):
        # what the kernel says of other kinds of files depends on the file system's functions
        if not all(stat.S_ISREG(os.fstat(self.fds[f]).st_mode) for f in (src, dst)):
            raise ValueError
        return os.copy_file_range(self.fds[src], self.fds[dst], size, src_at, dst_at)

    def op_mmap(self, fd, at, data):
        with mmap.mmap(self.fds[fd], 0) as m:
            m[at:at + len(data)] = data
            return bytes(m[:at + len(data)])

    def op_lock(self, fd, kind):
        fcntl.lockf(self.fds[fd], kind | fcntl.LOCK_NB, 100, 10)

    def op_mkdir(self, rel, mode):
        os.mkdir(self.path(rel), mode)

    def op_mkfifo(self, rel, mode):
        os.mkfifo(self.path(rel), mode)

    def op_mkdev(self, rel, mode):
        os.mknod(self.path(rel), mode | stat.S_IFCHR, os.makedev(1, 300))

    def op_symlink(self, rel, target):
        os.symlink(target, self.path(rel))

    def op_readlink(self, rel):
        return os.readlink(self.path(rel))

    def op_link(self, old, new):
        os.link(self.path(old), self.path(new), follow_symlinks=False)

    def op_unlink(self, rel):
        os.unlink(self.path(rel))

    def op_rmdir(self, rel):
        os.rmdir(self.path(rel))

    def op_rename(self, old, new, flags):
        check(LIBC.renameat2(AT_FDCWD, os.fsencode(self.path(old)), AT_FDCWD,
                             os.fsencode(self.path(new)), flags))

    def op_truncate(self, rel, size):
        # to the size it has: with the write-back cache the kernel does not touch mtime then
        if os.stat(self.path(rel)).st_size == size:
            raise ValueError
        os.truncate(self.path(rel), size)

    def op_chmod(self, rel, mode):
        os.chmod(self.path(rel), mode)

    def op_chown(self, rel, uid, gid):
        os.lchown(self.path(rel), uid, gid)

    def op_utime(self, rel, atime, mtime):
        os.utime(self.path(rel), ns=(atime, mtime), follow_symlinks=False)

    def op_stat(self, rel):
        return describe(os.lstat(self.path(rel)))

    def op_access(self, rel, mode):
        return os.access(self.path(rel), mode, effective_ids=True)

    def op_list(self, rel):
        return sorted(os.listdir(self.path(rel)))

    def op_default_acl(self, rel, user, mask):
        entries = [(1, 7, -1), (2, user, 1000), (4, 5, -1), (16, mask, -1), (32, 0, -1)]
        acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *e) for e in entries)
        os.setxattr(self.path(rel), "system.posix_acl_default", acl)

    def op_setxattr(self, rel, name, value, flags):
        os.setxattr(self.path(rel), name, value, flags)

    def op_getxattr(self, rel, name):
        return os.getxattr(self.path(rel), name)

    def op_removexattr(self, rel, name):
        os.removexattr(self.path(rel), name)


def describe(st):
    """What must be the same of an inode."""
    size = None if stat.S_ISDIR(st.st_mode) else st.st_size
    # writing to a fifo changes its time here and not there: no file system sees it
    timed = not stat.S_ISFIFO(st.st_mode) and st.st_mtime_ns < SET_BEFORE
    mtime = st.st_mtime_ns if timed else None
    mode = st.st_mode
    # set-group-id without group execution: Linux drops it on writes of those outside the group, FUSE
    # by its protocol (FUSE_HANDLE_KILLPRIV_V2) does not
    if stat.S_ISREG(mode) and not mode & stat.S_IXGRP:
        mode &= ~stat.S_ISGID
    return (oct(mode), st.st_uid, st.st_gid, st.st_nlink, size, st.st_rdev, mtime)


def tree(top):
    found = {}
    for dirpath, dirs, files in os.walk(top):
        for name in dirs + files:
            path = os.path.join(dirpath, name)
            st = os.lstat(path)
            more = None
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as f:
                    more = f.read()
            elif stat.S_ISLNK(st.st_mode):
                more = os.readlink(path)
            xattrs = {n: os.getxattr(path, n, follow_symlinks=False)
                      for n in os.listxattr(path, follow_symlinks=False)}
            found[os.path.relpath(path, top)] = (describe(st), more, xattrs)
    return found


def compare_trees(tested, reference, when):
    a, b = tree(tested), tree(reference)
    for name in sorted(a.keys() | b.keys()):
        if a.get(name) != b.get(name):
            sys.exit(f"{when}: {name!r} differs\n  tested    {str(a.get(name))[:400]}\n"
                     f"  reference {str(b.get(name))[:400]}")


class Chooser:
    """Random operations with arguments that often make sense."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.next_fd = 0
        self.existing = []

    def look(self, top):
        """Learn what exists, to choose it more often."""
        self.existing = sorted(os.path.relpath(os.path.join(d, n), top)
                               for d, dirs, files in os.walk(top) for n in dirs + files)

    def name(self):
        r = self.r
        if self.existing and r.random() < 0.5:
            return r.choice(self.existing)
        return "/".join(r.choice(NAMES) for _ in range(r.choice([1, 1, 1, 2, 2, 3])))

    def data(self):
        return bytes([self.r.randrange(256)]) * self.r.choice([1, 10, 4096, 5000, 70000])

    def at(self):
        return self.r.choice([0, 0, 1, 100, 4095, 4096, 65536, self.r.randrange(200000)])

    def mode(self):
        return self.r.choice([0o644, 0o600, 0o755, 0o777, 0o4755, 0o2755, 0o6777, 0o000, 0o1777])

    def new_fd(self):
        self.next_fd += 1
        return self.next_fd

    def pick(self, fds):
        r = self.r
        name = r.choice([k[3:] for k in dir(Side) if k.startswith("op_")])
        flags = (r.choice([os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR]) |
                 r.choice([0, 0, os.O_TRUNC, os.O_EXCL, os.O_APPEND]))
        fd = r.choice(list(fds)) if fds else None
        xattr = r.choice(["user.one", "user.two", "trusted.three"])
        made = {
            "create": lambda: (self.name(), flags, self.mode(), self.new_fd()),
            "open": lambda: (self.name(), flags & ~os.O_EXCL, self.new_fd()),
            "tmpfile": lambda: (r.choice([".", self.name()]), self.new_fd(),
                                r.choice([None, self.name()])),
            "append": lambda: (self.name(), self.data()),
            "mkdir": lambda: (self.name(), r.choice([0o755, 0o777, 0o2777, 0o1777])),
            "mkfifo": lambda: (self.name(), self.mode()),
            "mkdev": lambda: (self.name(), self.mode()),
            "symlink": lambda: (self.name(), r.choice([self.name(), "/nowhere/x", "./a", "."])),
            "readlink": lambda: (self.name(),),
            "link": lambda: (self.name(), self.name()),
            "unlink": lambda: (self.name(),),
            "rmdir": lambda: (self.name(),),
            "rename": lambda: (self.name(), self.name(),
                               r.choice([0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE])),
            "truncate": lambda: (self.name(), self.at()),
            "chmod": lambda: (self.name(), self.mode()),
            "chown": lambda: (self.name(), *r.choice([(0, 0), (1000, 1000), (1000, 1001), (-1, 1000),
                                                      (-1, 1001), (0, -1), (1000, -1)])),
            "utime": lambda: (self.name(), r.randrange(SET_BEFORE), r.randrange(SET_BEFORE)),
            "stat": lambda: (self.name(),),
            "access": lambda: (self.name(), r.randrange(8)),
            "list": lambda: (r.choice([".", self.name()]),),
            "default_acl": lambda: (self.name(), r.randrange(8), r.choice([7, 5, 0])),
            "setxattr": lambda: (self.name(), xattr, self.data()[:r.choice([0, 10, 2000])],
                                 r.choice([0, 0, os.XATTR_CREATE, os.XATTR_REPLACE])),
            "getxattr": lambda: (self.name(), xattr),
            "removexattr": lambda: (self.name(), xattr),
        }
        if name in made:
            return name, made[name]()
        if fd is None:
            return self.pick(fds)
        made = {
            "close": lambda: (fd,),
            "pread": lambda: (fd, r.choice([1, 100, 8192, 200000]), self.at()),
            "pwrite": lambda: (fd, self.data(), self.at()),
            "ftruncate": lambda: (fd, self.at()),
            "fstat": lambda: (fd,),
            "fchmod": lambda: (fd, self.mode()),
            "fsync": lambda: (fd,),
            "fallocate": lambda: (fd, r.choice([0, 1, 3, 16]), self.at(), self.at()),
            "copy": lambda: (fd, r.choice(list(fds)), r.choice([1, 5000, 100000]), self.at(),
                             self.at()),
            "mmap": lambda: (fd, r.choice([0, 1, 4000]), b"mapped"),
            "lock": lambda: (fd, r.choice([fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_UN])),
        }
        return name, made[name]()


def run(side, name, args, user):
    os.setegid(user[1])
    os.seteuid(user[0])
    try:
        return getattr(side, "op_" + name)(*args)
    except OSError as e:
        return "error " + errno.errorcode.get(e.errno, str(e.errno))
    except (ValueError, KeyError, IndexError) as e:  # mmap of an empty file, and the like
        return "refused " + type(e).__name__
    finally:
        os.seteuid(0)
        os.setegid(0)


def main():
    if sys.argv[1] == "--compare":
        compare_trees(sys.argv[2], sys.argv[3], "compared")
        return
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    tested, reference = Side(sys.argv[3]), Side(sys.argv[4])
    choose = Chooser(seed)
    succeeded = {}
    os.setgroups([])
    for i in range(count):
        if i % 20 == 0:
            choose.look(reference.top)
        name, args = choose.pick(tested.fds)
        user = choose.r.choice(USERS)
        os.umask(choose.r.choice([0o022, 0, 0o077]))
        a = run(tested, name, args, user)
        b = run(reference, name, args, user)
        if a != b:
            sys.exit(f"seed {seed}, operation {i}: {name}{str(args)[:300]} as {user}\n"
                     f"  tested    {str(a)[:300]}\n  reference {str(b)[:300]}")
        if not (isinstance(a, str) and a.startswith(("error", "refused"))):
            succeeded[name] = succeeded.get(name, 0) + 1
        while len(tested.fds) > 20:
            fd = choose.r.choice(list(tested.fds))
            run(tested, "close", (fd,), (0, 0))
            run(reference, "close", (fd,), (0, 0))
        if i % 500 == 499:
            compare_trees(tested.top, reference.top, f"seed {seed}, after operation {i}")
    for fd in list(tested.fds):
        os.close(tested.fds.pop(fd))
        os.close(reference.fds.pop(fd))
    compare_trees(tested.top, reference.top, f"seed {seed}, at the end")
    missing = [k[3:] for k in dir(Side) if k.startswith("op_") and k[3:] not in succeeded]
    print(f"seed {seed}: {sum(succeeded.values())} of {count} succeeded"
          + (f"; never: {' '.join(missing)}" if missing else ""))
    if missing:
        sys.exit("an operation that never succeeds tests nothing")


if __name__ == "__main__":
    main()
