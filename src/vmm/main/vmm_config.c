// SPDX-License-Identifier: Apache-2.0
#include "vmm/main/vmm_sandbox.h"

#include "base/io.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define CONFIG_MAX  (8U << 20)
#define EXPORTS_MAX 4096U
#define MEMORY_MIN  (64ULL << 20)
#define MEMORY_MAX  (1ULL << 42)
#define VCPUS_MAX   254U

static int bad(struct rsm_error *err, const char *what)
{
	return rsm_fail(err, EINVAL, "VM configuration: %s", what);
}

static int check_exports(const Runsm__VmConfig *c, struct rsm_error *err)
{
	if (c->n_exports == 0 || c->n_exports > EXPORTS_MAX)
		return bad(err, "number of exports");
	for (size_t i = 0; i < c->n_exports; i++) {
		const char *name = c->exports[i]->name;

		if (!*name || strlen(name) > NAME_MAX || strchr(name, '/') || name[0] == '.')
			return bad(err, "an export's name");
		if (c->exports[i]->path[0] != '/')
			return bad(err, "an export's path is not absolute");
		for (size_t k = 0; k < i; k++)
			if (strcmp(c->exports[k]->name, name) == 0)
				return bad(err, "two exports of one name");
	}
	return 0;
}

static int check(const Runsm__VmConfig *c, struct rsm_error *err)
{
	const Runsm__CreateContainerRequest *container = c->container;

	if (!*c->id || strchr(c->id, '/'))
		return bad(err, "container id");
	if (!container || strcmp(container->id, c->id) != 0 || !container->process)
		return bad(err, "no container");
	if (!container->process->stdio)
		return bad(err, "no stdio");
	if (!*c->kernel)
		return bad(err, "no kernel");
	if (c->memory_bytes < MEMORY_MIN || c->memory_bytes > MEMORY_MAX)
		return rsm_fail(err, EINVAL,
				"VM configuration: %llu MiB of memory: %llu to %llu are possible",
				(unsigned long long)c->memory_bytes >> 20, MEMORY_MIN >> 20,
				MEMORY_MAX >> 20);
	if (c->vcpus < 1 || c->vcpus > VCPUS_MAX)
		return rsm_fail(err, EINVAL, "VM configuration: %u CPUs: 1 to %u are possible",
				c->vcpus, VCPUS_MAX);
	if (c->extra_fds > EXTRA_FDS_MAX || container->process->stdio->n_extra > c->extra_fds)
		return bad(err, "number of extra fds");
	return check_exports(c, err);
}

int vmm_config_read(int fd, Runsm__VmConfig **ret, struct rsm_error *err)
{
	_cleanup_free_ uint8_t *data = NULL;
	Runsm__VmConfig *c;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return rsm_fail_errno(err, errno, "VM configuration");
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > CONFIG_MAX)
		return bad(err, "not a file of reasonable size");
	data = malloc((size_t)st.st_size);
	if (!data)
		return rsm_fail_errno(err, ENOMEM, "VM configuration");
	n = pread(fd, data, (size_t)st.st_size, 0);
	if (n != st.st_size)
		return rsm_fail_errno(err, n < 0 ? errno : EIO, "read the VM configuration");
	c = runsm__vm_config__unpack(NULL, (size_t)n, data);
	if (!c)
		return bad(err, "malformed");
	if (check(c, err) < 0) {
		runsm__vm_config__free_unpacked(c, NULL);
		return -EINVAL;
	}
	*ret = c;
	return 0;
}
