// SPDX-License-Identifier: Apache-2.0
/* User and time namespaces: the child's side. See userns.c for the agent's. */
#include "agent/setup.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

int setup_wait(const struct setup *s, struct rsm_error *err)
{
	char go;

	if (!setup_waits(s) || read(s->sync, &go, 1) == 1)
		return 0;
	return rsm_fail(err, EPIPE, "the agent does not want the process any more");
}

int setup_userns_root(const struct setup *s, struct rsm_error *err)
{
	if (!s->userns)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return rsm_fail_errno(err, errno, "become the user namespace's root");
	if (s->die_with_parent) /* forgotten when the user changes */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	return 0;
}

static int write_offsets(const Runsm__TimeOffset *monotonic, const Runsm__TimeOffset *boottime)
{
	_cleanup_close_ int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	char text[128];
	int ret;

	if (fd < 0)
		return -errno;
	ret = rsm_format(text, sizeof(text), "monotonic %lld %u\nboottime %lld %u\n",
			 monotonic ? (long long)monotonic->secs : 0,
			 monotonic ? monotonic->nanosecs : 0,
			 boottime ? (long long)boottime->secs : 0,
			 boottime ? boottime->nanosecs : 0);
	return ret < 0 ? ret : rsm_write_full(fd, text, strlen(text));
}

/* Offsets can be set until somebody enters, which unshare() alone is not. */
int setup_timens(const Runsm__CreateContainerRequest *r, struct rsm_error *err)
{
	_cleanup_close_ int fd = -1;
	int ret;

	if (!(r->namespaces & CLONE_NEWTIME))
		return 0;
	if (unshare(CLONE_NEWTIME) < 0)
		return rsm_fail_errno(err, errno, "make a time namespace");
	ret = write_offsets(r->monotonic, r->boottime);
	if (ret == -ERANGE)
		return rsm_fail(err, ERANGE,
				"linux.timeOffsets: a clock of the guest, which starts with the VM, "
				"would become negative or too large");
	if (ret < 0)
		return rsm_fail_errno(err, ret, "linux.timeOffsets");
	fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWTIME) < 0)
		return rsm_fail_errno(err, errno, "enter the time namespace");
	return 0;
}

/* ---------------------------------------------------------------- proc and sysfs */

static int set_options(int fs, const char *data)
{
	char buf[4096], *option, *rest;
	int ret = rsm_format(buf, sizeof(buf), "%s", data);

	if (ret < 0)
		return ret;
	for (option = strtok_r(buf, ",", &rest); option; option = strtok_r(NULL, ",", &rest)) {
		char *value = strchr(option, '=');

		if (value)
			*value++ = '\0';
		if (fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, option, value,
			     0) < 0)
			return -errno;
	}
	return 0;
}

static int make_detached(const Runsm__Mount *m)
{
	_cleanup_close_ int fs = fsopen(m->type, FSOPEN_CLOEXEC), fd = -1;
	int ret;

	if (fs < 0)
		return -errno;
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", m->source[0] ? m->source : m->type, 0) < 0)
		return -errno;
	ret = set_options(fs, m->data);
	if (ret < 0)
		return ret;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ret = setup_mount_flags(fd, m->flags);
	return ret < 0 ? ret : rsm_steal_fd(fd);
}

int setup_userns_mounts(const struct setup *s, struct rsm_error *err)
{
	const Runsm__CreateContainerRequest *r = s->request;

	for (size_t i = 0; s->userns && i < r->n_mounts; i++) {
		const Runsm__Mount *m = r->mounts[i];

		if (strcmp(m->type, "proc") != 0 && strcmp(m->type, "sysfs") != 0)
			continue;
		s->trees[i + 1] = make_detached(m);
		if (s->trees[i + 1] < 0)
			return rsm_fail_errno(err, s->trees[i + 1],
					      "mounts[%zu]: mount '%.100s': make a %s", i,
					      m->destination, m->type);
	}
	return 0;
}
