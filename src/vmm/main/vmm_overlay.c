// SPDX-License-Identifier: Apache-2.0
/*
 * An overlay file system for one export, mounted on the host: its layers are directories there, and
 * so is the kernel that their white-outs were made for.
 *
 * mount(2) is the way that takes options of any length, but it needs a place. A child with a mount
 * namespace of its own mounts it there and clones the mount into the fd table it shares with us. With
 * its end the namespace goes, and the mount lives as long as that fd: nobody else ever sees it, and a
 * kill -9 leaves nothing.
 */
#include "vmm/main/vmm_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child found out; fd is -1 until it has one. */
struct outcome {
	int fd;
	int code; /* errno of what failed */
};

/* In the child: system calls only. */
static void mount_and_clone(const char *dir, const char *options, struct outcome *o)
{
	if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    chdir(dir) == 0 && mount("overlay", dir, "overlay", 0, options) == 0)
		o->fd = open_tree(AT_FDCWD, dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (o->fd < 0)
		o->code = errno;
}

static int run_child(const char *dir, const char *options, struct outcome *o)
{
	/* Without a signal at its end: nobody but us is to hear of it. */
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES, NULL, NULL, NULL, 0);

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		mount_and_clone(dir, options, o);
		_exit(0);
	}
	while (waitpid(pid, NULL, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	if (o->fd >= 0)
		return o->fd;
	return o->code ? -o->code : -EIO; /* EIO: it was killed */
}

int vmm_overlay_mount(const char *dir, const char *options, struct rsm_error *err)
{
	struct outcome *o = mmap(NULL, sizeof(*o), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ret;

	if (o == MAP_FAILED)
		return rsm_fail_errno(err, errno, "mount an overlay file system");
	*o = (struct outcome){.fd = -1};
	ret = run_child(dir, options, o);
	(void)munmap(o, sizeof(*o));
	return ret < 0 ? rsm_fail_errno(err, ret,
					"mount an overlay file system of the host with options "
					"'%.350s'",
					options)
		       : ret;
}
