// SPDX-License-Identifier: Apache-2.0
/*
 * Has the guest's kernel a driver for what linux.devices lists? A node without one looks right and
 * fails when it is opened, so it is refused, or left out if the container can do without.
 * /proc/devices knows the majors, /proc/misc the minors of the one that many small drivers share.
 */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <linux/major.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_MAX 65536

/* Does a line after @from begin with @number? Up to an empty line. */
static bool has_number(const char *from, unsigned number)
{
	unsigned n;

	for (const char *line = from; line && *line && *line != '\n';) {
		if (sscanf(line, "%u", &n) == 1 && n == number)
			return true;
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	return false;
}

static bool has_driver(const Runsm__Device *d, const char *devices, const char *misc)
{
	const char *heading = d->type == S_IFBLK ? "Block devices:\n" : "Character devices:\n";
	const char *at = strstr(devices, heading);

	if (d->type != S_IFBLK && d->type != S_IFCHR)
		return true;
	if (d->type == S_IFCHR && d->major == MISC_MAJOR)
		return has_number(misc, d->minor);
	return at && has_number(at + strlen(heading), d->major);
}

int drivers_check(Runsm__CreateContainerRequest *r, struct rsm_error *err)
{
	_cleanup_free_ char *devices = NULL, *misc = NULL;
	size_t kept = 0;
	int ret;

	if (r->n_devices == 0)
		return 0;
	ret = rsm_read_file_at(AT_FDCWD, "/proc/devices", TEXT_MAX, &devices, NULL);
	if (ret == 0)
		ret = rsm_read_file_at(AT_FDCWD, "/proc/misc", TEXT_MAX, &misc, NULL);
	if (ret < 0)
		return rsm_fail_errno(err, ret, "read the guest's list of drivers");
	for (size_t i = 0; i < r->n_devices; i++) {
		const Runsm__Device *d = r->devices[i];

		if (!has_driver(d, devices, misc) && !d->optional)
			return rsm_fail(err, ENODEV,
					"linux.devices[%zu]: %s (%c %u:%u): the guest's kernel has "
					"no driver for it",
					i, d->path, d->type == S_IFBLK ? 'b' : 'c', d->major,
					d->minor);
	}
	/* nothing fails any more: the request may be changed */
	for (size_t i = 0; i < r->n_devices; i++) {
		if (has_driver(r->devices[i], devices, misc))
			r->devices[kept++] = r->devices[i];
		else
			runsm__device__free_unpacked(r->devices[i], NULL);
	}
	r->n_devices = kept;
	return 0;
}
