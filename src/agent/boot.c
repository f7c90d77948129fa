// SPDX-License-Identifier: Apache-2.0
/*
 * From the kernel's start of /init to a guest that can run containers. Every step counts: emulation
 * makes each ten times as slow, so nothing waits and nothing is done twice.
 *
 * The initramfs's own file system cannot be pivoted away from (pivot_root(2): EINVAL on rootfs), so
 * the first step binds it over itself: that mount has a parent, and containers can pivot.
 */
#include "agent/agent.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"

#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>

#define NOFILE_HARD    524288 /* systemd's default, which distributions are tested with */
#define CGROUP_CONTROL AGENT_CGROUP "/cgroup.subtree_control"

static const struct {
	const char *type, *path, *data;
	unsigned long flags;
} mounts[] = {
	{"devtmpfs", "/dev", "mode=0755", MS_NOSUID | MS_NOEXEC},
	{"proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
	{"sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
	{"cgroup2", AGENT_CGROUP, "nsdelegate", MS_NOSUID | MS_NODEV | MS_NOEXEC},
};

static int mount_all(struct rsm_error *err)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(mounts); i++) {
		(void)mkdir(mounts[i].path, 0755);
		if (mount(mounts[i].type, mounts[i].path, mounts[i].type, mounts[i].flags,
			  mounts[i].data) < 0)
			return rsm_fail_errno(err, errno, "mount %s on %s", mounts[i].type,
					      mounts[i].path);
	}
	return 0;
}

static int make_root_pivotable(struct rsm_error *err)
{
	(void)mkdir("/run", 0755);
	(void)mkdir(AGENT_RUN_DIR, 0755);
	(void)mkdir(AGENT_EXPORTS, 0755);
	(void)mkdir(AGENT_STAGING, 0755);
	if (mount("/", AGENT_STAGING, NULL, MS_BIND, NULL) < 0 || chdir(AGENT_STAGING) < 0 ||
	    mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return rsm_fail_errno(err, errno, "bind the initramfs over itself");
	return 0;
}

/* fds 0 to 2, which the kernel leaves closed if the initramfs has no /dev/console. */
static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	if (fd < 0)
		fd = open("/dev/null", O_RDWR);
	for (int i = 0; fd >= 0 && i < 3; i++)
		if (i != fd)
			(void)dup2(fd, i);
	if (fd > 2)
		close(fd);
}

int loopback_up(struct rsm_error *err)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		return rsm_fail_errno(err, errno, "bring up lo");
	return 0;
}

static bool enable_controllers(const char *which)
{
	_cleanup_close_ int fd = open(CGROUP_CONTROL, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && rsm_write_full(fd, which, strlen(which)) == 0;
}

/* A kernel may lack one of them; limits that need it fail where they are set. */
static void prepare_cgroups(void)
{
	if (enable_controllers("+cpu +memory +pids"))
		return;
	(void)enable_controllers("+cpu");
	(void)enable_controllers("+memory");
	(void)enable_controllers("+pids");
}

/*
 * What wakes an idle guest's CPUs for nothing, and with them the host's: compaction in advance looks
 * twice a second, statistics are gathered every second. A container may set them otherwise.
 */
static void let_it_sleep(void)
{
	static const struct {
		const char *path, *value;
	} sysctls[] = {
		{"/proc/sys/vm/compaction_proactiveness", "0"},
		{"/proc/sys/vm/stat_interval", "60"},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(sysctls); i++) {
		_cleanup_close_ int fd = open(sysctls[i].path, O_WRONLY | O_CLOEXEC);

		if (fd >= 0) /* not every kernel has them */
			(void)rsm_write_full(fd, sysctls[i].value, strlen(sysctls[i].value));
	}
}

int boot_guest(struct agent *a, struct rsm_error *err)
{
	/* For the streams of many processes; these start with less, see set_rlimits(). */
	const struct rlimit nofile = {NOFILE_HARD, NOFILE_HARD};
	int ret = make_root_pivotable(err);

	if (ret == 0)
		ret = mount_all(err);
	open_console();
	if (ret == 0)
		ret = modules_load(err);
	if (ret == 0)
		ret = loopback_up(err);
	if (ret < 0)
		return ret;
	prepare_cgroups();
	let_it_sleep();
	(void)setrlimit(RLIMIT_NOFILE, &nofile);
	/* No flags: the mounts of the exports below inherit them, and set-user-ID programs must
	 * work. */
	if (mount(AGENT_TAG, AGENT_EXPORTS, "virtiofs", 0, NULL) < 0)
		return rsm_fail_errno(err, errno, "mount virtio-fs '%s'", AGENT_TAG);
	a->exports_fd = open(AGENT_EXPORTS, O_PATH | O_DIRECTORY | O_CLOEXEC);
	a->cgroup_fd = open(AGENT_CGROUP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a->exports_fd < 0 || a->cgroup_fd < 0)
		return rsm_fail_errno(err, errno, "open %s",
				      a->exports_fd < 0 ? AGENT_EXPORTS : AGENT_CGROUP);
	a->staging = AGENT_STAGING;
	a->ports_fd = -1;
	return 0;
}

void boot_failed(const struct rsm_error *err)
{
	(void)dprintf(STDERR_FILENO, "runsm-agent: %s\n", err->message);
	(void)tcdrain(STDERR_FILENO);
	(void)reboot(RB_AUTOBOOT);
	_exit(1); /* the kernel panics, and ends the VM with panic=-1 */
}
