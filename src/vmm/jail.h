/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail: what runsm-vmm gives up, so that a guest that takes it over gets no further than what
 * the guest was given anyway. Each part says what it takes away and why; docs/security.md has the
 * ladder with the test of each step.
 *
 *	jail_caps.c	no_new_privs, core dumps, capabilities
 *	jail_root.c	mount namespace
 *	jail_view.c	what those see in it who join it
 *	jail_seccomp.c	system calls that no thread makes
 *	jail_threads.c	system calls that a kind of thread makes
 *
 * The order is the caller's (src/vmm/main/vmm_jail.c for runsm-vmm, tcg.c for QEMU): everything
 * that needs a right happens before the step that takes it.
 */
#ifndef RSM_VMM_JAIL_H
#define RSM_VMM_JAIL_H

#include "base/error.h"

#include <linux/capability.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What the FUSE server needs to act for any user of the guest on files of any owner:
 *
 *	CHOWN		what is made for a user is then given to him
 *	DAC_OVERRIDE	the guest's kernel has checked permissions; the host's would be those of our
 *			own uid
 *	FOWNER		chmod, utimes, xattrs, O_NOATIME and sticky directories, for any owner
 *	FSETID		set-id bits stay on a file whose group is not ours
 *	MKNOD		device nodes, as names in a root file system; none can be opened (MS_NODEV)
 *	SETFCAP		security.capability, without which no image with file capabilities works
 *
 * Not DAC_READ_SEARCH: it opens files by handle, anywhere on a file system of which the guest has
 * but one directory. Not SYS_ADMIN: the guest has no trusted.* and security.* attributes for it.
 * Nothing else of runsm-vmm needs any.
 */
#define JAIL_FUSE_CAPS                                                                             \
	(1ULL << CAP_CHOWN | 1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_FOWNER | 1ULL << CAP_FSETID |  \
	 1ULL << CAP_MKNOD | 1ULL << CAP_SETFCAP)

/**
 * jail_self() - What no process of ours needs from its first moment on
 *
 * no_new_privs: no set-id program or file capability makes more of us than we are; it is what
 * unprivileged seccomp filters and Landlock ask for. Not dumpable: only root with CAP_SYS_PTRACE can
 * trace us, read our memory (the guest's) and open /proc/PID/fd, not another process of the same
 * user; an exec undoes that. No core files: they would have the guest's memory.
 *
 * Context: async-signal-safe, so between fork and exec too.
 */
void jail_self(void);

/**
 * jail_keep_caps() - Give up all capabilities of this thread but those of @keep
 * @keep:	bit i is capability number i; what we do not have is not gained
 *
 * Bounding, inheritable and ambient set are empty then. The bounding set stays as it is without
 * CAP_SETPCAP, which changes nothing after jail_self().
 *
 * Context: async-signal-safe. Threads have capabilities of their own: call before there are others.
 * Return: 0 or -errno, when the caller must not go on
 */
int jail_keep_caps(uint64_t keep);

/**
 * struct jail_mount - Something that the namespace shows
 * @destination: where; resolved inside the view
 * @tree:	detached mount, stays the caller's to close; unused for a @cover
 * @is_file:	@tree is no directory
 * @cover:	nothing is to be found here, and nothing to be written: an empty, read-only tmpfs
 */
struct jail_mount {
	const char *destination;
	int tree;
	bool is_file, cover;
};

/**
 * struct jail_view - What the namespace shows to those that join it
 * @root:	detached mount that becomes the namespace's root; -1: there is nothing in it
 * @mounts:	on top of it, in this order
 * @uid, @gid:	who owns mount points that have to be made
 */
struct jail_view {
	int root;
	const struct jail_mount *mounts;
	size_t n;
	uid_t uid;
	gid_t gid;
};

/**
 * jail_root() - Have a root with nothing in it but /proc/self/fd, in a namespace with @view
 * @view:	NULL: nothing
 *
 * From the one no path leads to the other. Fds of directories that were opened before still lead
 * where they did, and up from there: the caller closes them, but for detached mounts; those of @view
 * after this. There are no other threads yet.
 *
 * Return: 0; 1, with nothing changed, if we may not make mount namespaces; or -errno, when the
 * caller must not go on
 */
int jail_root(const struct jail_view *view, struct rsm_error *err);

/* Sanitizers look into their own process with the very calls that are forbidden. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define JAIL_SANITIZED 1
#else
#define JAIL_SANITIZED 0
#endif

/**
 * jail_syscalls() - End the process at system calls that it has no business to make
 *
 * For this thread and those it makes from now on; after jail_self() and the other steps, which make
 * some of them. Does nothing in a build with sanitizers.
 * Return: 0 or -errno, when the caller must not go on
 */
int jail_syscalls(void);

enum jail_thread {
	JAIL_VCPU,
	JAIL_DISK,  /* worker of the scratch disk */
	JAIL_FILES, /* worker of virtio-fs, and the threads it starts */
};

/**
 * jail_thread() - End the process at system calls that a thread of this kind has no business to make
 *
 * For the calling thread and those it makes from now on. Does nothing where jail_syscalls() was not
 * called or did nothing.
 * Return: 0 or -errno, when the thread must not go on
 */
int jail_thread(enum jail_thread kind);

#endif
