// SPDX-License-Identifier: Apache-2.0
/* How the agent reaches the host's ports: vsock, or in tests unix sockets named by port. */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <linux/vm_sockets.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

/* A host under load (emulation, a full test machine) may take long; the kernel's default is 2 s. */
#define CONNECT_TIMEOUT_S 60

static int connect_vsock(uint32_t port, int flags)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
	struct timeval timeout = {.tv_sec = CONNECT_TIMEOUT_S};
	_cleanup_close_ int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW, &timeout,
			 sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 && errno != EINPROGRESS)
		return -errno;
	return rsm_steal_fd(fd);
}

static int connect_to(const struct agent *a, uint32_t port, int flags)
{
	static const int small = 4096; /* a test fills it up with few bytes, however they are cut */
	char name[16];
	int fd;

	if (a->ports_fd < 0)
		return connect_vsock(port, flags);
	(void)rsm_format(name, sizeof(name), "%u", port);
	fd = rsm_unix_connect_at(a->ports_fd, name);
	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	return fd;
}

int transport_connect(const struct agent *a, uint32_t port)
{
	return connect_to(a, port, SOCK_NONBLOCK);
}

int transport_connect_wait(const struct agent *a, uint32_t port)
{
	return connect_to(a, port, 0);
}
