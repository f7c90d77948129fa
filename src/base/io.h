/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptor and path helpers. Everything returns 0/count or -errno and opens O_CLOEXEC.
 */
#ifndef RSM_BASE_IO_H
#define RSM_BASE_IO_H

#include "base/error.h"

#include <linux/openat2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Read until @len bytes or end of file; Return: bytes read or -errno. EINTR is retried. */
ssize_t rsm_read_full(int fd, void *buf, size_t len);

/* Write all of @len bytes; Return: 0 or -errno. EINTR is retried; blocking fds only. */
int rsm_write_full(int fd, const void *buf, size_t len);

/**
 * rsm_read_file_at() - Read a whole small file
 * @dirfd:	or AT_FDCWD
 * @max:	largest size accepted, in bytes
 * @ret:	malloc'ed, NUL-terminated after the last byte
 * @ret_len:	length without that NUL; may be NULL
 *
 * Return: 0, -EFBIG if the file is larger than @max, or -errno
 */
int rsm_read_file_at(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len);

/**
 * rsm_write_file_atomic_at() - Replace a file by temporary file, fsync and rename
 *
 * A reader sees the old contents or the new; kill -9 at any moment leaves at most a stray
 * ".NAME.tmp" beside it, which the next write replaces.
 */
int rsm_write_file_atomic_at(int dirfd, const char *name, const void *data, size_t len,
			     mode_t mode);

/* mkdir -p; existing directories are fine. */
int rsm_mkdir_p(const char *path, mode_t mode);

/**
 * rsm_remove_tree_at() - rm -rf that never follows a symlink and never leaves the file system
 * Return: 0 (also when nothing was there) or -errno of the first entry that could not be removed
 */
int rsm_remove_tree_at(int dirfd, const char *name);

/* openat2(2); @resolve: RESOLVE_*. */
int rsm_openat2(int dirfd, const char *path, uint64_t flags, mode_t mode, uint64_t resolve);

int rsm_set_nonblock(int fd, bool on);
int rsm_set_cloexec(int fd, bool on);

#define RSM_FDS_MAX 16

/**
 * rsm_send_fds() - sendmsg() with SCM_RIGHTS
 * @nfds:	at most RSM_FDS_MAX; 0 sends data alone
 * Return: bytes sent (may be short) or -errno
 */
ssize_t rsm_send_fds(int sock, const void *buf, size_t len, const int *fds, size_t nfds);

/**
 * rsm_recv_fds() - recvmsg() with SCM_RIGHTS, received close-on-exec
 * @fds:	room for RSM_FDS_MAX
 * @ret_nfds:	how many arrived; the caller owns them. On error none are left open.
 * Return: bytes (0 at end of stream) or -errno; -EMSGSIZE if fds were cut off
 */
ssize_t rsm_recv_fds(int sock, void *buf, size_t len, int *fds, size_t *ret_nfds);

/* snprintf() into @buf that fails with -ENAMETOOLONG instead of truncating. */
int rsm_format(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/**
 * rsm_unix_connect_at() / rsm_unix_listen_at() - Unix stream sockets by directory fd and name
 *
 * Bound and connected through /proc/self/fd/N/NAME, so that a deep state directory does not run
 * into the 108 bytes of sun_path. The listener is created with mode 0600.
 */
int rsm_unix_connect_at(int dirfd, const char *name);
int rsm_unix_listen_at(int dirfd, const char *name, int backlog);

#endif
