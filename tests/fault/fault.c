// SPDX-License-Identifier: Apache-2.0
/*
 * A host that runs out: the program this is linked into (with -Wl,--wrap for each function below)
 * has its RUNSM_FAULT-th call of any of them fail, or all ioctls with the request
 * RUNSM_FAULT_IOCTL fail with errno RUNSM_FAULT_ERRNO. What failed is written to fd RUNSM_FAULT_FD.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static long calls, fail_at = -1;

/* Shall this call fail? Allocates nothing itself, so that it can be asked anywhere. */
static bool fault(const char *name, int error)
{
	const char *fd = getenv("RUNSM_FAULT_FD"), *at = getenv("RUNSM_FAULT");

	if (fail_at < 0)
		fail_at = at ? strtol(at, NULL, 10) : 0;
	if (fail_at == 0 || __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) != fail_at)
		return false;
	if (fd)
		(void)!syscall(SYS_write, strtol(fd, NULL, 10), name, strlen(name));
	errno = error;
	return true;
}

#define WRAP(type, name, params, args, error, failure)                                             \
	type __real_##name params;                                                                 \
	type __wrap_##name params;                                                                 \
	type __wrap_##name params                                                                  \
	{                                                                                          \
		return fault(#name, error) ? failure : __real_##name args;                         \
	}

WRAP(void *, malloc, (size_t size), (size), ENOMEM, NULL)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), ENOMEM, NULL)
WRAP(void *, realloc, (void *old, size_t size), (old, size), ENOMEM, NULL)
WRAP(char *, strdup, (const char *s), (s), ENOMEM, NULL)
WRAP(void *, mmap, (void *at, size_t len, int prot, int flags, int fd, off_t offset),
     (at, len, prot, flags, fd, offset), ENOMEM, MAP_FAILED)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), EMFILE, -1)
WRAP(int, epoll_create1, (int flags), (flags), EMFILE, -1)
WRAP(int, epoll_ctl, (int fd, int op, int target, struct epoll_event *event),
     (fd, op, target, event), ENOSPC, -1)
WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), EMFILE, -1)
WRAP(int, socketpair, (int domain, int type, int protocol, int *fds),
     (domain, type, protocol, fds), EMFILE, -1)
WRAP(int, pthread_create,
     (pthread_t * ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg),
     (ret, attr, fn, arg), EAGAIN, EAGAIN)

static bool ioctl_fault(unsigned long request)
{
	const char *at = getenv("RUNSM_FAULT_IOCTL"), *error = getenv("RUNSM_FAULT_ERRNO");

	if (!at || !error || strtoul(at, NULL, 0) != request)
		return fault("ioctl", ENOMEM);
	errno = (int)strtol(error, NULL, 10);
	return true;
}

/* Variable arguments: one at most, of the size of a pointer. */
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	return ioctl_fault(request) ? -1 : __real_ioctl(fd, request, arg);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return fault("open", ENFILE) ? -1 : __real_open(path, flags, mode);
}
