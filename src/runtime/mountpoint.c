// SPDX-License-Identifier: Apache-2.0
/*
 * Mount points in a read-only root file system.
 *
 * A read-only root is exported read-only, so the guest cannot make the directories that config.json
 * mounts things on. runc makes them before it remounts the root; here the host does, resolving
 * every path inside the root file system as if it were "/".
 */
#include "runtime/vmconfig.h"

#include "base/cleanup.h"
#include "base/mountpoint.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Is @path below a mount that comes earlier? Then it is not in the root file system at all. */
static bool below_earlier(const Runsm__CreateContainerRequest *c, size_t i)
{
	const char *path = c->mounts[i]->destination;

	for (size_t k = 0; k < i; k++) {
		const char *above = c->mounts[k]->destination;
		size_t len = strlen(above);

		while (len > 1 && above[len - 1] == '/')
			len--;
		if (strncmp(path, above, len) == 0 && path[len] == '/')
			return true;
	}
	return false;
}

void vmconfig_make_mountpoints(const char *rootfs, const Runsm__CreateContainerRequest *c)
{
	_cleanup_close_ int rootfd = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; rootfd >= 0 && i < c->n_mounts; i++)
		if (!below_earlier(c, i))
			rsm_mountpoint_make(rootfd, c->mounts[i]->destination,
					    c->mounts[i]->is_file, geteuid(), getegid());
}
