// SPDX-License-Identifier: Apache-2.0
#include "vmm_spawn.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "ttrpc/agent.pb-c.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEXT(s) ((char *)(uintptr_t)(s)) /* protobuf-c never writes to them */

int vmm_spawn_config(const struct vmm_spawn_config *config)
{
	Runsm__VmConfig c = RUNSM__VM_CONFIG__INIT;
	Runsm__CreateContainerRequest container = RUNSM__CREATE_CONTAINER_REQUEST__INIT;
	Runsm__Process process = RUNSM__PROCESS__INIT;
	Runsm__Stdio stdio = RUNSM__STDIO__INIT;
	Runsm__Export export = RUNSM__EXPORT__INIT, *exports[] = {&export};
	_cleanup_close_ int fd = memfd_create("config", MFD_CLOEXEC);
	_cleanup_free_ uint8_t *data = NULL;
	size_t len;

	stdio.stdin_port = stdio.stdout_port = stdio.stderr_port = 1;
	process.stdio = &stdio;
	container.id = TEXT("vm");
	container.root_export = TEXT("root");
	container.process = &process;
	export.name = TEXT("root");
	export.path = TEXT(config->dir);
	c.id = TEXT("vm");
	c.accel = TEXT(config->machine ? config->machine : "kvm");
	c.kernel = TEXT(config->kernel);
	c.initrd = TEXT(config->initrd ? config->initrd : "");
	c.qemu = TEXT(config->qemu ? config->qemu : "");
	c.cmdline = TEXT(config->cmdline ? config->cmdline : "");
	c.memory_bytes = config->memory;
	c.vcpus = config->vcpus;
	c.n_exports = 1;
	c.exports = exports;
	c.container = &container;
	len = runsm__vm_config__get_packed_size(&c);
	data = malloc(len);
	if (fd < 0 || !data)
		return -1;
	runsm__vm_config__pack(&c, data);
	return rsm_write_full(fd, data, len) < 0 ? -1 : rsm_steal_fd(fd);
}

void vmm_spawn_become(char *const argv[], const int *fds, int n)
{
	for (int i = 0; i < n; i++) /* out of the way of each other first */
		if (fcntl(fds[i], F_DUPFD, 100 + i) < 0)
			_exit(125);
	for (int i = 0; i < n; i++)
		if (dup2(100 + i, i) < 0)
			_exit(125);
	close_range((unsigned)n, ~0u, 0);
	execv(argv[0], argv);
	_exit(126);
}
