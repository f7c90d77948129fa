/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FUSE server: what others may use.
 *
 * fsrv_session takes requests apart, checks them and calls a file system (struct fsrv_fs: the
 * passthrough of host directories, or the in-memory one). It knows nothing of virtio or KVM; a
 * transport hands it a request as bytes and room for the reply as segments.
 *
 * Thread safe: any number of threads may call fsrv_handle() at once on one session.
 */
#ifndef RSM_FUSE_FSRV_H
#define RSM_FUSE_FSRV_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct fsrv_fs;
struct fsrv_session;
struct dax_window;

/* Largest WRITE payload / READ reply negotiated, bytes. */
#define FSRV_MAX_IO   (1U << 20)
/* Everything of a request before a WRITE's payload, bytes: header, struct, names, xattr value. */
#define FSRV_MAX_HEAD (128U << 10)

/**
 * struct fsrv_options - How a session behaves
 * @cache:	FSRV_CACHE_ALWAYS: negotiate the write-back cache, so that sizes and times are the
 *		guest's and changes of them on the host go unseen, in *all* exports; the timeouts
 *		are each export's own
 * @trace:	every request and reply as a line to this fd; -1 off
 * @window:	DAX window for SETUPMAPPING/REMOVEMAPPING; NULL: ENOSYS
 */
enum fsrv_cache {
	FSRV_CACHE_NEVER,  /* no caching: others write there as well */
	FSRV_CACHE_AUTO,   /* 1 s */
	FSRV_CACHE_MOSTLY, /* 1 s, negative entries too, and contents until mtime or size change, or
			      ctime at an open: the guest is the only writer but for a file copied in
			      now and then */
	FSRV_CACHE_ALWAYS, /* the guest is the only writer: 24 h, negative entries too */
};

struct fsrv_options {
	enum fsrv_cache cache;
	int trace_fd;
	struct dax_window *window;
};

/**
 * struct fsrv_export - One name in the synthetic root directory of a passthrough
 * @name:	one path component; NULL: @fd is the root itself (then it is the only export)
 * @fd:		O_PATH or directory fd of the exported directory or file; stays the caller's
 * @readonly:	every change is refused with EROFS, whatever the guest asks
 * @top_only:	@readonly is said of the topmost mount, not of those below it
 * @nodev:	the mount behind @fd has MS_NODEV: opening by name cannot reach a device, so the
 *		fast open path is safe
 * @cache:	entry and attribute timeouts in this export
 */
struct fsrv_export {
	const char *name;
	int fd;
	bool readonly;
	bool top_only;
	bool nodev;
	enum fsrv_cache cache;
};

/**
 * fsrv_export_open() - Open a directory or file as an export without a name
 * @path:	symlinks in it are followed: it comes from the caller, not from the guest
 * @ret:	fd (owned by the caller), readonly and nodev are set
 *
 * With CAP_SYS_ADMIN the export is a private, detached copy of the mounts at and below @path, nodev
 * and as read-only as asked for: the fast open path is safe then. Without it, @path as it is.
 */
int fsrv_export_open(const char *path, bool readonly, struct fsrv_export *ret,
		     struct rsm_error *err);

/**
 * fsrv_passthrough_new() - A file system that shows host directories
 *
 * Keeps an fd of /proc/self/fd that is of no use to a child: fork before.
 * Sets the process' umask to 0: the guest has applied its own to
 * the modes it sends. May keep as many O_PATH fds as half of RLIMIT_NOFILE; raise that first.
 * Return: 0 or -errno with @err naming the export
 */
int fsrv_passthrough_new(const struct fsrv_export *exports, size_t n, struct fsrv_fs **ret,
			 struct rsm_error *err);

/* The process has changed its root: do without the old one's /proc. Before there are requests. */
int fsrv_passthrough_rerooted(struct fsrv_fs *fs);

int fsrv_memfs_new(struct fsrv_fs **ret);
void fsrv_fs_free(struct fsrv_fs *fs);

/* @fs stays the caller's and must outlive the session. */
int fsrv_session_new(struct fsrv_fs *fs, const struct fsrv_options *options,
		     struct fsrv_session **ret);
void fsrv_session_free(struct fsrv_session *s);

/**
 * fsrv_session_reset() - Drop everything a client negotiated or holds
 *
 * After device reset or disconnect (DESTROY does it by itself). Requests that wait are answered
 * with EINTR through fsrv_deferred_fn before it returns, none later; so hold no lock that function
 * takes, neither here nor around fsrv_handle().
 */
void fsrv_session_reset(struct fsrv_session *s);

/**
 * fsrv_handle() - Serve one request
 * @out:	the request's bytes (fuse_in_header first), @nout segments. May be memory a guest
 *		writes at the same time: it is copied once, except the payload of WRITE, which goes
 *		to the file straight from these segments.
 * @in:		room for the reply, @nin segments; READ data is read straight into them
 *
 * Never blocks on another client's lock: SETLKW that would wait returns -EINPROGRESS here and
 * answers later through fsrv_deferred_fn (see fsrv_set_deferred()).
 *
 * Context: any thread; one that serves a request which makes a file stops sharing its working
 * directory and umask with the other threads, and takes on the client's umask. Does not allocate
 * for the frequent requests.
 * Return: bytes of reply written to @in; 0 for a request that has no reply (FORGET, …);
 * -EINPROGRESS: answered later; -EBADMSG: too short to be answered at all (no header, or no room
 * for one)
 */
ssize_t fsrv_handle(struct fsrv_session *s, const struct iovec *out, unsigned nout,
		    const struct iovec *in, unsigned nin, void *tag);

/**
 * fsrv_set_deferred() - Who finishes requests that were answered with -EINPROGRESS
 * @fn:		called from a thread of the session's with the @tag of fsrv_handle() and the reply
 *		(at most 256 bytes), to be copied to the request's own reply segments
 */
typedef void (*fsrv_deferred_fn)(void *cookie, void *tag, const void *reply, size_t len);
void fsrv_set_deferred(struct fsrv_session *s, fsrv_deferred_fn fn, void *cookie);

/* Must a request that begins with these bytes go to the high-priority queue's thread, i.e. may it
 * block for long (FSYNC, SYNCFS, FALLOCATE, COPY_FILE_RANGE, SETLKW)? For scheduling only. */
bool fsrv_is_slow(uint32_t opcode);

#endif
