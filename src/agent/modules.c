// SPDX-License-Identifier: Apache-2.0
/*
 * Kernel modules, from the list that the initramfs has (src/image/initramfs.h): each line is a file
 * and, maybe, when to load it.
 *
 * A module that no device asks for costs the boot nothing but the copying of its file, and that is
 * removed right away: its memory is the guest's. What only saves the host's memory (the balloon)
 * waits until the container had its start.
 */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#define MODULES   "/modules"
#define ORDER     MODULES "/order"
#define ORDER_MAX 65536
#define VIRTIO    "/sys/bus/virtio/devices"
#define LATE_NS   1000000000ULL

/* Is there a virtio device of type @id? */
static bool have_virtio(unsigned long id)
{
	_cleanup_closedir_ DIR *dir = opendir(VIRTIO);

	for (struct dirent *e; dir && (e = readdir(dir));) {
		_cleanup_free_ char *text = NULL;
		char path[sizeof(e->d_name) + 16];

		if (e->d_name[0] != '.' &&
		    rsm_format(path, sizeof(path), "%s/device", e->d_name) == 0 &&
		    rsm_read_file_at(dirfd(dir), path, 64, &text, NULL) == 0 &&
		    strtoul(text, NULL, 16) == id)
			return true;
	}
	return false;
}

static int load(const char *path, struct rsm_error *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) /* built into this kernel, or loaded */
		return 0;
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
		return rsm_fail_errno(err, errno, "load module '%s'", path);
	return 0;
}

/* A line of the list, in the early or the late round. */
static int do_line(char *line, bool late, struct rsm_error *err)
{
	char path[256], *when = strchr(line, ' ');
	bool is_late, wanted = true;
	const char *id;
	int ret;

	if (when)
		*when++ = '\0';
	ret = rsm_format(path, sizeof(path), MODULES "/%s", line);
	if (ret < 0)
		return rsm_fail_errno(err, ret, "load module '%s'", line);
	is_late = when && strncmp(when, "late:", 5) == 0;
	if (is_late != late)
		return 0;
	id = when ? strchr(when, ':') : NULL;
	if (when)
		wanted = id && have_virtio(strtoul(id + 1, NULL, 10));
	ret = wanted ? load(path, err) : 0;
	(void)unlink(path);
	return ret;
}

static int load_all(bool late, struct rsm_error *err)
{
	_cleanup_free_ char *order = NULL;
	char *line, *rest;
	int ret = rsm_read_file_at(AT_FDCWD, ORDER, ORDER_MAX, &order, NULL);

	if (ret == -ENOENT) /* everything is built in */
		return 0;
	if (ret < 0)
		return rsm_fail_errno(err, ret, "read " ORDER);
	for (line = strtok_r(order, "\n", &rest); line && ret == 0;
	     line = strtok_r(NULL, "\n", &rest))
		ret = do_line(line, late, err);
	return ret;
}

int modules_load(struct rsm_error *err)
{
	return load_all(false, err);
}

static void load_late(void *cookie)
{
	struct rsm_error err = RSM_ERROR_INIT;

	if (load_all(true, &err) < 0) /* the guest does without */
		(void)dprintf(STDERR_FILENO, "runsm-agent: %s\n", err.message);
}

void modules_load_late(struct agent *a)
{
	(void)rsm_loop_timer(a->loop, LATE_NS, load_late, NULL, NULL);
}
