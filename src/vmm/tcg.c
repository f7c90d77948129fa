// SPDX-License-Identifier: Apache-2.0
/*
 * The tcg machine: QEMU as CPU and board.
 *
 *	runsm-vmm                                   qemu-system-x86_64 -M microvm -accel tcg
 *	  struct vdev ── vhost_user ── socketpair ──── vhost-user-*-device   (one per device)
 *	  qmp.c ────────────────────── socketpair ──── QMP                   (stop, cont)
 *	  console.c ────────────────── socketpair ──── ttyS0
 *	  here ─────────────────────── pipe ────────── stderr                (its last line)
 *	  here ─────────────────────── pidfd
 *
 * Guest memory is a memfd that QEMU makes and hands over by vhost-user. QEMU gets exactly these
 *fds, and dies with us (PR_SET_PDEATHSIG), or with machine_free(). It ends by itself when the guest
 * resets or powers off (-no-reboot).
 */
#include "vmm/machine.h"

#include "base/buf.h"
#include "base/io.h"
#include "base/math.h"
#include "base/proc.h"
#include "vmm/jail.h"
#include "vmm/qmp.h"
#include "vmm/tcg_board.h"
#include "vmm/vhost_user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define DEVICES_MAX  8
#define STDERR_MAX   2048
#define DEFAULT_QEMU "qemu-system-x86_64"
/* The second line is what makes it fast under emulation, see docs/guest-boot.md. */
#define BASE_CMDLINE                                                                               \
	"console=ttyS0 quiet panic=-1 reboot=t rdinit=/init"                                       \
	" mitigations=off no_timer_check cryptomgr.notests"
#define FIRST_FD     3 /* QEMU's fds after stdio: console, QMP, one per device */
#define FD_CONSOLE   FIRST_FD
#define FD_QMP       (FIRST_FD + 1)
#define FD_DEVICE(i) (FIRST_FD + 2 + (i))
#define ARGS_MAX     64

struct tcg;

struct tcg_device {
	struct tcg *owner;
	struct vdev *vdev;
	struct vhost_user *back_end;
	int qemu_fd; /* the other end, until QEMU is started */
};

struct tcg {
	struct machine machine;
	struct rsm_loop *loop;
	machine_exited_fn exited;
	void *cookie;
	struct tcg_device devices[DEVICES_MAX];
	size_t ndevices;
	struct tcg_tsc tsc_start;
	struct rsm_buf text; /* NUL-separated arguments */
	size_t nargs;
	int console_fd, qmp_fd; /* QEMU's ends, until it is started */
	struct qmp *qmp;
	int stderr_fd;
	char said[STDERR_MAX]; /* the end of what QEMU wrote to stderr */
	size_t said_len;
	pid_t pid;
	int pidfd;
	struct rsm_source *pid_source;
	struct rsm_error device_error; /* the first one of a vhost-user connection */
};

/* ---- command line */

static void add_arg(struct tcg *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add_arg(struct tcg *t, const char *fmt, ...)
{
	char arg[4096];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(arg, sizeof(arg), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(arg))
		t->text.failed = 1;
	else
		(void)rsm_buf_add(&t->text, arg, (size_t)n + 1);
	t->nargs++;
}

/* A path as the value of a QEMU option: a comma is written twice. */
static void add_path_arg(struct tcg *t, const char *prefix, const char *path)
{
	(void)rsm_buf_addstr(&t->text, prefix);
	for (; *path; path++)
		(void)rsm_buf_add(&t->text, *path == ',' ? ",," : path, *path == ',' ? 2 : 1);
	(void)rsm_buf_add(&t->text, "", 1);
	t->nargs++;
}

static int add_device_args(struct tcg *t, size_t i, struct rsm_error *err)
{
	struct vdev *d = t->devices[i].vdev;
	struct virtio_fs_config fs;

	add_arg(t, "-chardev");
	add_arg(t, "socket,id=dev%zu,fd=%zu", i, FD_DEVICE(i));
	add_arg(t, "-device");
	switch (d->ops->device_id) {
	case VIRTIO_ID_FS:
		d->ops->read_config(d, 0, &fs, sizeof(fs));
		add_arg(t,
			"vhost-user-fs-device,chardev=dev%zu,tag=%.*s,num-request-queues=%u,"
			"queue-size=%u",
			i, (int)sizeof(fs.tag), (const char *)fs.tag, d->nqueues - 1,
			d->ops->queue_size);
		return 0;
	case VIRTIO_ID_VSOCK:
		add_arg(t, "vhost-user-vsock-device,chardev=dev%zu", i);
		return 0;
	case VIRTIO_ID_BLOCK:
		add_arg(t, "vhost-user-blk,chardev=dev%zu,num-queues=1", i);
		return 0;
	default:
		return rsm_fail(err, ENOTSUP, "no %s device there", d->ops->name);
	}
}

static void add_cmdline(struct tcg *t, const struct machine_config *config, bool acpi)
{
	const char *added = config->cmdline ? config->cmdline : "";

	add_arg(t, "-append");
	add_arg(t, "%s%s tsc_early_khz=%u%s%s", BASE_CMDLINE,
		acpi                 ? ""
		: config->vcpus == 1 ? " acpi=off noapictimer"
				     : " acpi=off",
		tcg_tsc_khz(&t->tsc_start), *added ? " " : "", added);
}

static int build_args(struct tcg *t, const struct machine_config *config, struct rsm_error *err)
{
	unsigned long long mib = (config->memory + (1U << 20) - 1) >> 20;
	int acpi = tcg_kernel_wants_acpi(config->kernel);

	if (acpi < 0)
		return rsm_fail_errno(err, acpi, "read guest kernel '%s'", config->kernel);

	add_arg(t, "%s", config->qemu && *config->qemu ? config->qemu : DEFAULT_QEMU);
	add_arg(t, "-nodefaults");
	add_arg(t, "-no-user-config");
	add_arg(t, "-no-reboot");
	add_arg(t, "-display");
	add_arg(t, "none");
	add_arg(t, "-sandbox");
	add_arg(t, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	add_arg(t, "-accel");
	add_arg(t, "tcg,thread=%s", config->vcpus > 1 ? "multi" : "single");
	add_arg(t, "-machine");
	add_arg(t, "microvm,acpi=%s,pit=on,pic=on,rtc=on,isa-serial=on,memory-backend=ram,"
		"dump-guest-core=off",
		acpi ? "on" : "off");
	add_arg(t, "-cpu");
	add_arg(t, "max");
	add_arg(t, "-smp");
	add_arg(t, "%u", config->vcpus);
	add_arg(t, "-m");
	add_arg(t, "%llu", mib);
	add_arg(t, "-object");
	add_arg(t, "memory-backend-memfd,id=ram,size=%lluM,share=on", mib);
	add_arg(t, "-global");
	add_arg(t, "virtio-mmio.force-legacy=false");
	add_arg(t, "-kernel");
	add_arg(t, "%s", config->kernel);
	if (config->initrd && *config->initrd) {
		add_arg(t, "-initrd");
		add_path_arg(t, "", config->initrd);
	}
	add_cmdline(t, config, acpi);
	add_arg(t, "-chardev");
	add_arg(t, "socket,id=console,fd=%d", FD_CONSOLE);
	add_arg(t, "-serial");
	add_arg(t, "chardev:console");
	add_arg(t, "-chardev");
	add_arg(t, "socket,id=qmp,fd=%d", FD_QMP);
	add_arg(t, "-mon");
	add_arg(t, "chardev=qmp,mode=control");
	for (size_t i = 0; i < t->ndevices; i++)
		if (add_device_args(t, i, err) < 0)
			return -err->code;
	/* What the guest finds free QEMU cuts out of the memfd, for all who have mapped it. Last, so
	 * that the others are found at the same place as ever. */
	add_arg(t, "-device");
	add_arg(t, "virtio-balloon-device,free-page-reporting=on,deflate-on-oom=on");
	if (rsm_buf_ok(&t->text) < 0 || t->nargs >= ARGS_MAX)
		return rsm_fail(err, E2BIG, "command line of QEMU too long");
	return 0;
}

/* ---- QEMU's end */

static void drain_stderr(struct tcg *t)
{
	char data[1024];
	ssize_t n;

	while (t->stderr_fd >= 0 && (n = read(t->stderr_fd, data, sizeof(data))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (t->said_len == STDERR_MAX) {
				memmove(t->said, t->said + STDERR_MAX / 2, STDERR_MAX / 2);
				t->said_len = STDERR_MAX / 2;
			}
			t->said[t->said_len++] = data[i];
		}
	}
}

/* QEMU's last words, one line, without the program's name that it puts before them. */
static const char *last_line(struct tcg *t)
{
	char *line, *colon;

	while (t->said_len && strchr("\r\n ", t->said[t->said_len - 1]))
		t->said_len--;
	if (t->said_len == STDERR_MAX)
		t->said_len--;
	t->said[t->said_len] = '\0';
	line = strrchr(t->said, '\n');
	line = line ? line + 1 : t->said;
	colon = strstr(line, ": ");
	return colon && !memchr(line, ' ', (size_t)(colon - line)) ? colon + 2 : line;
}

static void describe_exit(struct tcg *t, int status, struct rsm_error *why)
{
	const char *said;

	drain_stderr(t);
	said = last_line(t);
	if (t->device_error.code)
		*why = t->device_error;
	else if (WIFSIGNALED(status))
		(void)rsm_fail(why, EIO, "QEMU was killed by signal %d (%s)", WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0)
		(void)rsm_fail(why, EIO, "QEMU exited with status %d%s%s", WEXITSTATUS(status),
			       *said ? ": " : "", said);
}

static void qemu_ended(void *cookie, int fd, uint32_t events)
{
	struct rsm_error why = RSM_ERROR_INIT;
	struct tcg *t = cookie;
	int status = 0;

	rsm_loop_remove(t->pid_source);
	t->pid_source = NULL;
	while (waitpid(t->pid, &status, 0) < 0 && errno == EINTR)
		;
	t->pid = 0;
	describe_exit(t, status, &why);
	t->exited(t->cookie, &why);
}

/* The connection ends with QEMU; when it ends first, for a reason, that is the better story. */
static void back_end_closed(void *cookie, const struct rsm_error *err)
{
	struct tcg_device *d = cookie;
	struct tcg *t = d->owner;

	if (!err->code || t->device_error.code)
		return;
	t->device_error = *err;
	(void)rsm_error_prefix(&t->device_error, "%s device", d->vdev->ops->name);
	if (t->pid > 0)
		(void)kill(t->pid, SIGKILL);
}

/* ---- ops */

static void tcg_free(struct machine *m)
{
	struct tcg *t = rsm_container_of(m, struct tcg, machine);

	rsm_loop_remove(t->pid_source);
	if (t->pid > 0) {
		(void)kill(t->pid, SIGKILL);
		while (waitpid(t->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	for (size_t i = 0; i < t->ndevices; i++) {
		vhost_user_free(t->devices[i].back_end);
		rsm_close(&t->devices[i].qemu_fd);
	}
	qmp_free(t->qmp);
	rsm_close(&t->console_fd);
	rsm_close(&t->qmp_fd);
	rsm_close(&t->stderr_fd);
	rsm_close(&t->pidfd);
	rsm_buf_free(&t->text);
	free(t);
}

static void tcg_freep(struct tcg **t)
{
	if (*t)
		tcg_free(&(*t)->machine);
}

static int pair(int *ours, int *theirs)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	*ours = fds[0];
	*theirs = fds[1];
	return 0;
}

static int add_device(struct tcg *t, struct vdev *vdev, struct rsm_error *err)
{
	struct tcg_device *d = &t->devices[t->ndevices];
	_cleanup_close_ int ours = -1;
	int r;

	d->owner = t;
	d->vdev = vdev;
	r = pair(&ours, &d->qemu_fd);
	if (r < 0)
		return rsm_fail_errno(err, r, "make a socket pair");
	t->ndevices++;
	r = vhost_user_new(t->loop, vdev, ours, back_end_closed, d, &d->back_end, err);
	if (r == 0)
		(void)rsm_steal_fd(ours);
	return r;
}

static int tcg_create(struct rsm_loop *loop, const struct machine_config *config,
		      machine_exited_fn exited, void *cookie, struct machine **ret,
		      struct rsm_error *err)
{
	_cleanup_(tcg_freep) struct tcg *t = calloc(1, sizeof(*t));
	_cleanup_close_ int qmp_fd = -1;

	if (!t)
		return rsm_fail_errno(err, ENOMEM, "create");
	tcg_tsc_read(&t->tsc_start);
	t->loop = loop;
	t->exited = exited;
	t->cookie = cookie;
	t->console_fd = t->qmp_fd = t->stderr_fd = t->pidfd = -1;
	for (size_t i = 0; i < DEVICES_MAX; i++)
		t->devices[i].qemu_fd = -1;
	if (config->ndevices > DEVICES_MAX)
		return rsm_fail(err, E2BIG, "more than %d devices", DEVICES_MAX);
	for (size_t i = 0; i < config->ndevices; i++)
		if (add_device(t, config->devices[i], err) < 0)
			return -err->code;
	t->console_fd = fcntl(config->console_fd, F_DUPFD_CLOEXEC, FIRST_FD);
	if (t->console_fd < 0 || pair(&qmp_fd, &t->qmp_fd) < 0)
		return rsm_fail_errno(err, errno, "make a socket pair");
	if (qmp_new(loop, qmp_fd, &t->qmp) < 0)
		return rsm_fail_errno(err, ENOMEM, "create");
	(void)rsm_steal_fd(qmp_fd);
	if (build_args(t, config, err) < 0)
		return -err->code;
	*ret = &rsm_steal_ptr(t)->machine;
	return 0;
}

/* QEMU, which runs the guest's code, has files to read and nothing else to do on this host. */
static int confine(void *cookie)
{
	jail_self();
	return jail_keep_caps(0);
}

static int spawn(struct tcg *t, int stderr_fd, struct rsm_error *err)
{
	int fds[FIRST_FD + 2 + DEVICES_MAX] = {-1, -1, stderr_fd, t->console_fd, t->qmp_fd};
	const char *argv[ARGS_MAX + 1];
	struct rsm_spawn how = {.argv = argv, .fds = fds, .nfds = FD_DEVICE(t->ndevices), .before_exec = confine};
	const char *arg = t->text.data;

	for (size_t i = 0; i < t->nargs; i++, arg += strlen(arg) + 1)
		argv[i] = arg;
	argv[t->nargs] = NULL;
	for (size_t i = 0; i < t->ndevices; i++)
		fds[FD_DEVICE(i)] = t->devices[i].qemu_fd;
	if (rsm_spawn(&how, &t->pid, &t->pidfd, err) < 0) {
		if (err->code == ENOENT)
			return rsm_error_prefix(err, "QEMU not found (install qemu-system-x86)");
		return -err->code;
	}
	return 0;
}

static int tcg_start(struct machine *m, struct rsm_error *err)
{
	struct tcg *t = rsm_container_of(m, struct tcg, machine);
	_cleanup_close_ int stderr_fd = -1;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return rsm_fail_errno(err, errno, "make a pipe");
	t->stderr_fd = fds[0];
	stderr_fd = fds[1];
	(void)rsm_set_nonblock(t->stderr_fd, true);
	r = spawn(t, stderr_fd, err);
	if (r < 0)
		return r;
	rsm_close(&t->console_fd);
	rsm_close(&t->qmp_fd);
	for (size_t i = 0; i < t->ndevices; i++)
		rsm_close(&t->devices[i].qemu_fd);
	rsm_buf_free(&t->text);
	r = rsm_loop_add(t->loop, t->pidfd, EPOLLIN, qemu_ended, t, &t->pid_source);
	return r < 0 ? rsm_fail_errno(err, r, "watch QEMU") : 0;
}

static int tcg_pause(struct machine *m, machine_done_fn done, void *cookie)
{
	return qmp_execute(rsm_container_of(m, struct tcg, machine)->qmp, "stop", done, cookie);
}

static int tcg_resume(struct machine *m, machine_done_fn done, void *cookie)
{
	return qmp_execute(rsm_container_of(m, struct tcg, machine)->qmp, "cont", done, cookie);
}

const struct machine_ops machine_tcg = {
	.name = "tcg",
	.spawns = true,
	.create = tcg_create,
	.start = tcg_start,
	.pause = tcg_pause,
	.resume = tcg_resume,
	.free = tcg_free,
};
