// SPDX-License-Identifier: Apache-2.0
#include "runtime/check.h"

#include "base/io.h"
#include "base/math.h"
#include "base/proc.h"
#include "image/guest.h"
#include "runtime/settings.h"
#include "vmm/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/wait.h>

#define QEMU_ANSWER_MAX 262144

static struct check_item *add(struct check_report *r, const char *name, enum check_grade grade,
			      const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static struct check_item *add(struct check_report *r, const char *name, enum check_grade grade,
			      const char *fmt, ...)
{
	struct check_item *item = &r->items[r->n];
	va_list ap;

	rsm_assert(r->n < CHECK_ITEMS_MAX);
	r->n++;
	item->name = name;
	item->grade = grade;
	va_start(ap, fmt);
	(void)vsnprintf(item->detail, sizeof(item->detail), fmt, ap);
	va_end(ap);
	return item;
}

static void advise(struct check_item *item, const char *text)
{
	(void)snprintf(item->advice, sizeof(item->advice), "%s", text);
}

bool check_passed(const struct check_report *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->items[i].grade == CHECK_FAIL)
			return false;
	return true;
}

/* ---- KVM and the machine */

/* Without it emulation does, unless it was asked for. */
static void check_kvm(struct check_report *r)
{
	struct kvm_probe_result p = {.state = KVM_PROBE_ABSENT};
	struct check_item *item;
	int ret = kvm_probe_again(&p);

	if (ret < 0) {
		add(r, "kvm", CHECK_WARN, "could not be probed: %s", strerror(-ret));
		return;
	}
	if (p.state == KVM_PROBE_USABLE) {
		add(r, "kvm", CHECK_OK, "KVM is usable (%llu ps per guest instruction)",
		    (unsigned long long)p.ps_per_insn);
		return;
	}
	item = add(r, "kvm", CHECK_WARN, "KVM is %s: %s", kvm_probe_state_name(p.state), p.reason);
	advise(item, kvm_probe_advice(p.state));
}

static enum accel check_machine(struct check_report *r, const struct settings *s)
{
	struct rsm_error err = RSM_ERROR_INIT;
	char reason[ACCEL_REASON_MAX];
	enum accel accel = ACCEL_TCG;

	if (accel_choose(s->accel, &accel, reason, &err) < 0) {
		advise(add(r, "machine", CHECK_FAIL, "%s", err.message),
		       "set RUNSM_ACCEL=auto to run by emulation where KVM is not usable");
		r->machine = "";
		return accel;
	}
	r->machine = accel_name(accel);
	add(r, "machine", CHECK_OK, "%s: %s", accel_name(accel), reason);
	return accel;
}

/* ---- programs */

static void check_vmm(struct check_report *r)
{
	struct rsm_error err = RSM_ERROR_INIT;
	char path[PATH_MAX];

	if (find_helper("runsm-vmm", path, &err) < 0)
		advise(add(r, "vmm", CHECK_FAIL, "%s", err.message), "install runsm completely");
	else
		add(r, "vmm", CHECK_OK, "%s", path);
}

/* What a program prints, within ten seconds. Return: 0 or -errno */
static int output_of(const char *const *argv, struct rsm_buf *out, struct rsm_error *err)
{
	_cleanup_close_ int in = -1, to = -1, pidfd = -1;
	struct pollfd p = {.events = POLLIN};
	int pipefd[2], ret, status;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return rsm_fail_errno(err, errno, "create a pipe");
	in = pipefd[0];
	to = pipefd[1];
	ret = rsm_spawn(
		&(struct rsm_spawn){.argv = argv, .fds = (const int[]){-1, to, -1}, .nfds = 3},
		&pid, &pidfd, err);
	if (ret < 0)
		return ret;
	rsm_close(&to);
	p.fd = in;
	for (;;) {
		char *room = rsm_buf_reserve(out, 16384);
		ssize_t n = -1;

		if (room && out->len < QEMU_ANSWER_MAX && poll(&p, 1, 10000) > 0)
			n = read(in, room, 16384);
		if (n <= 0) {
			ret = n < 0 ? -ETIMEDOUT : 0;
			break;
		}
		out->len += (size_t)n;
	}
	if (ret < 0)
		(void)rsm_pidfd_send_signal(pidfd, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ret == 0)
		ret = rsm_buf_add(out, "", 1);
	return ret < 0 ? rsm_fail_errno(err, ret, "ask '%s'", argv[0]) : 0;
}

static void check_qemu_devices(struct check_report *r, const char *qemu)
{
	static const char *const needed[] = {"\"vhost-user-fs-device\"",
					     "\"vhost-user-vsock-device\""};
	const char *const argv[] = {qemu, "-M", "microvm", "-device", "help", NULL};
	_cleanup_buf_ struct rsm_buf out = {0};
	struct rsm_error err = RSM_ERROR_INIT;

	if (output_of(argv, &out, &err) < 0) {
		add(r, "qemu", CHECK_FAIL, "%s", err.message);
		return;
	}
	for (size_t i = 0; i < RSM_ARRAY_SIZE(needed); i++) {
		if (strstr(out.data, needed[i]))
			continue;
		advise(add(r, "qemu", CHECK_FAIL, "%s has no microvm machine with device %s", qemu,
			   needed[i]),
		       "install QEMU 6.0 or later with vhost-user (package qemu-system-x86)");
		return;
	}
	add(r, "qemu", CHECK_OK, "it has the microvm machine and the vhost-user devices");
}

static void check_qemu(struct check_report *r, enum accel accel)
{
	_cleanup_buf_ struct rsm_buf out = {0};
	struct rsm_error err = RSM_ERROR_INIT;
	char path[PATH_MAX];
	const char *argv[] = {path, "--version", NULL};

	if (find_qemu(path, &err) < 0) {
		advise(add(r, "qemu", accel == ACCEL_TCG ? CHECK_FAIL : CHECK_WARN, "%s",
			   err.message),
		       "install the package qemu-system-x86");
		return;
	}
	if (output_of(argv, &out, &err) < 0) {
		add(r, "qemu", accel == ACCEL_TCG ? CHECK_FAIL : CHECK_WARN, "%s", err.message);
		return;
	}
	out.data[strcspn(out.data, "\n")] = '\0';
	add(r, "qemu", CHECK_OK, "%s: %s", path, out.data);
	check_qemu_devices(r, path);
}

/* ---- guest image */

static void check_guest(struct check_report *r, const struct settings *s)
{
	_cleanup_guest_ struct img_guest g = {0};
	struct rsm_error err = RSM_ERROR_INIT;
	int ret = img_guest_load(s->guest_dir, &g, &err);

	if (ret == 0)
		ret = img_guest_verify(s->guest_dir, &g, &err);
	if (ret < 0)
		advise(add(r, "guest", CHECK_FAIL, "%s", err.message), "run \"runsm guest build\"");
	else
		add(r, "guest", CHECK_OK, "%s: Linux %s, checksums match", s->guest_dir,
		    g.kernel_version);
}

/* ---- the host's kernel */

static int has_openat2(void)
{
	_cleanup_close_ int fd =
		rsm_openat2(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0, RESOLVE_NO_MAGICLINKS);

	return fd < 0 ? fd : 0;
}

static int has_pidfd(void)
{
	_cleanup_close_ int fd = rsm_pidfd_open(getpid());

	return fd < 0 ? fd : 0;
}

static int has_memfd(void)
{
	_cleanup_close_ int fd = memfd_create("runsm-check", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, 1 << 21) < 0)
		return -errno;
	return 0;
}

static int has_proc(void)
{
	return rsm_proc_start_time(getpid()) ? 0 : -ENOENT;
}

/* Nothing is closed: the range is empty. */
static int has_close_range(void)
{
	return close_range(~0U, ~0U, 0) < 0 ? -errno : 0;
}

static const struct {
	const char *name;
	int (*probe)(void);
	const char *advice;
} features[] = {
	{"openat2", has_openat2, "Linux 5.6 or later is needed"},
	{"pidfd", has_pidfd, "Linux 5.3 or later is needed"},
	{"close_range", has_close_range, "Linux 5.9 or later is needed"},
	{"memfd", has_memfd, "guest memory is a memfd: it must not be forbidden"},
	{"proc", has_proc, "mount /proc"},
};

static void check_kernel(struct check_report *r)
{
	char good[128] = "";

	for (size_t i = 0; i < RSM_ARRAY_SIZE(features); i++) {
		int ret = features[i].probe();

		if (ret < 0) {
			advise(add(r, "kernel", CHECK_FAIL, "%s: %s", features[i].name,
				   strerror(-ret)),
			       features[i].advice);
			continue;
		}
		(void)snprintf(good + strlen(good), sizeof(good) - strlen(good), "%s%s",
			       good[0] ? ", " : "", features[i].name);
	}
	add(r, "kernel", CHECK_OK, "has %s", good);
}

static void check_cgroup(struct check_report *r)
{
	if (access("/sys/fs/cgroup", F_OK) < 0)
		add(r, "cgroup", CHECK_OK, "not mounted; runsm makes no cgroups on the host yet");
	else
		add(r, "cgroup", CHECK_OK, "mounted; runsm makes no cgroups on the host yet");
}

/* ---- state and rights */

static void check_root(struct check_report *r, const char *root)
{
	int ret = rsm_mkdir_p(root, 0700);

	if (ret == 0 && access(root, W_OK | X_OK) < 0)
		ret = -errno;
	if (ret < 0)
		advise(add(r, "root", CHECK_FAIL, "state directory %s: %s", root, strerror(-ret)),
		       "use --root with a directory that this user can write to");
	else
		add(r, "root", CHECK_OK, "state is kept in %s", root);
}

static void check_user(struct check_report *r)
{
	if (geteuid() == 0)
		add(r, "user", CHECK_OK, "root");
	else
		advise(add(r, "user", CHECK_WARN,
			   "uid %u: files of the container are made with the rights of this user",
			   geteuid()),
		       "run as root for containers whose files have several owners");
}

void check_all(const char *root, struct check_report *r)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct settings s;
	enum accel accel;

	r->machine = "";
	if (settings_load(SETTINGS_FILE, &s, &err) < 0) {
		add(r, "settings", CHECK_FAIL, "%s", err.message);
		return;
	}
	check_kvm(r);
	accel = check_machine(r, &s);
	check_vmm(r);
	check_qemu(r, accel);
	check_guest(r, &s);
	check_kernel(r);
	check_cgroup(r);
	check_root(r, root);
	check_user(r);
}
