// SPDX-License-Identifier: Apache-2.0
/*
 * Launching: bundle → state directory → runsm-vmm → report → created.
 *
 *	read and check config.json, settings, guest image	nothing to undo
 *	make the state directory, locked			undo: remove it
 *	plan the cgroup, then make it, with its limits		undo: remove it
 *	(systemd: once the VMM is there to be in it)
 *	spawn runsm-vmm, inside the cgroup, with VmConfig in a memfd
 *								undo: kill and reap it, poststop hooks
 *	write state.json ("creating"), so that a kill -9 of this process leaves a container that
 *	delete can find and end
 *	if there are hooks: when the VMM reports its namespaces, run them, and let it go on
 *	wait for the VMM's report
 *	limit CPU time and I/O, which would have slowed the boot
 *	write state.json, then the pid file
 */
#include "runtime/launch_private.h"

#include "base/io.h"
#include "base/math.h"
#include "base/proc.h"
#include "image/guest.h"
#include "runtime/cgroup_driver.h"
#include "runtime/hooks.h"
#include "runtime/scratch.h"
#include "runtime/tty.h"
#include "runtime/vmconfig.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/* Fixed fds of runsm-vmm, see the start of agent.proto's VmConfig. */
enum { VMM_CONFIG = 3, VMM_SYNC, VMM_STATE_DIR, VMM_LOG, VMM_CONSOLE, VMM_EXTRA };

static void launch_done(struct launch *l)
{
	free(l->text);
	oci_spec_free(l->spec);
	arena_free(&l->arena);
	ctr_free(l->c);
	cgroup_free(l->cgroup);
	rsm_close(&l->console);
	rsm_close(&l->memfd);
	rsm_close(&l->scratch);
	rsm_close(&l->sync);
	rsm_close(&l->pidfd);
	rsm_close(&l->signals);
}

/* ---- before anything is made */

static int check_terminal(const struct launch *l, struct rsm_error *err)
{
	bool terminal = l->spec->process.terminal;

	if (l->o->detach && terminal && !l->o->console_socket)
		return rsm_fail(
			err, EINVAL,
			"cannot allocate tty if runsm will detach without setting console socket");
	if (l->o->console_socket && (!l->o->detach || !terminal))
		return rsm_fail(
			err, EINVAL,
			"cannot use console socket if runsm will not detach or allocate tty");
	return 0;
}

static int find_rootfs(struct launch *l, struct rsm_error *err)
{
	const char *given = l->spec->root_path;
	char path[PATH_MAX];
	struct stat st;
	int ret = rsm_format(path, sizeof(path), "%s%s%s", given[0] == '/' ? "" : l->bundle,
			     given[0] == '/' ? "" : "/", given);

	if (ret == 0 && (!realpath(path, l->rootfs) || stat(l->rootfs, &st) < 0))
		ret = -errno;
	if (ret == 0 && !S_ISDIR(st.st_mode))
		ret = -ENOTDIR;
	return ret < 0 ? rsm_fail_errno(err, ret, "root.path: '%s'", path) : 0;
}

int launch_check_fds(unsigned n, struct rsm_error *err)
{
	if (n > LAUNCH_EXTRA_FDS_MAX)
		return rsm_fail(err, EINVAL, "--preserve-fds: at most %d", LAUNCH_EXTRA_FDS_MAX);
	for (unsigned i = 0; i < n; i++)
		if (fcntl(STDERR_FILENO + 1 + (int)i, F_GETFD) < 0)
			return rsm_fail(err, EBADF,
					"--preserve-fds: file descriptor %u is not open",
					STDERR_FILENO + 1 + i);
	return 0;
}

/*
 * Other runtimes give the container a socket that its READY=1 goes to, and pass it on. A socket of
 * the host is none in the guest; whoever waits for the message shall find why it does not come.
 */
static void check_notify_socket(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	if (path && *path)
		rsm_log_warn("NOTIFY_SOCKET: a container in a VM cannot send readiness to '%s': use a "
			     "service of Type=exec, or Podman's --sdnotify=conmon",
			     path);
}

/* Is an image there, and whole? Sizes only: checksums are for `runsm check`. */
static int check_guest(struct launch *l, struct rsm_error *err)
{
	_cleanup_guest_ struct img_guest g = {0};
	int ret = img_guest_load(l->settings.guest_dir, &g, err);

	l->no_acpi = g.no_acpi;
	return ret;
}

static int prepare(struct launch *l, const char *id, struct rsm_error *err)
{
	char reason[ACCEL_REASON_MAX];
	int ret = ctr_check_id(id, err);

	if (ret == 0)
		ret = launch_check_fds(l->o->preserve_fds, err);
	if (ret < 0)
		return ret;
	if (!realpath(l->o->bundle ? l->o->bundle : ".", l->bundle))
		return rsm_fail_errno(err, errno, "bundle '%s'", l->o->bundle);
	ret = oci_bundle_read(l->bundle, &l->text, &l->text_len, err);
	if (ret < 0)
		return ret;
	ret = oci_spec_parse(l->text, l->text_len, &l->spec, err);
	if (ret < 0)
		return rsm_error_prefix(err, "config.json");
	check_notify_socket();
	if (l->spec->warnings.len)
		rsm_log_warn("config.json: %s", l->spec->warnings.data);
	if ((ret = check_terminal(l, err)) < 0 || (ret = find_rootfs(l, err)) < 0 ||
	    (ret = settings_load(SETTINGS_FILE, &l->settings, err)) < 0 ||
	    (ret = accel_choose(l->settings.accel, &l->accel, reason, err)) < 0 ||
	    (ret = find_helper("runsm-vmm", l->vmm, err)) < 0 ||
	    (ret = check_guest(l, err)) < 0)
		return ret;
	rsm_log_debug("machine %s: %s", accel_name(l->accel), reason);
	if (l->accel == ACCEL_TCG && (ret = find_qemu(l->qemu, err)) < 0)
		return ret;
	if (l->o->console_socket) {
		l->console = tty_connect_console(l->o->console_socket, err);
		if (l->console < 0)
			return l->console;
	}
	return 0;
}

/* What is typed comes from stdin, what is shown goes to stdout: one of them is a terminal, mostly. */
static int find_size(Runsm__Process *p, struct rsm_error *err)
{
	_cleanup_close_ int tty = tty_of_caller();

	if (tty < 0)
		return rsm_fail_errno(err, tty,
				      "process.terminal: no standard stream is a terminal: open "
				      "/dev/tty");
	if (!p->rows)
		tty_size(tty, &p->rows, &p->cols);
	return 0;
}

static int write_config(struct launch *l, const char *id, struct rsm_error *err)
{
	const struct vm_request req = {
		.id = id,
		.spec = l->spec,
		.settings = &l->settings,
		.bundle = l->bundle,
		.rootfs = l->rootfs,
		.qemu = l->qemu,
		.accel = l->accel,
		.extra_fds = l->o->preserve_fds,
		.console_socket = l->console >= 0,
		.no_acpi = l->no_acpi,
	};
	_cleanup_free_ uint8_t *packed = NULL;
	size_t len;
	int ret = vmconfig_new(&l->arena, &req, &l->config, err);

	if (ret < 0)
		return ret;
	if (l->spec->linux_.memory_limit > l->config->memory_bytes)
		rsm_log_warn("linux.resources.memory.limit is more than this host has: the VM gets "
			     "%llu MiB",
			     (unsigned long long)l->config->memory_bytes >> 20);
	if (l->spec->process.terminal && l->console < 0) {
		ret = find_size(l->config->container->process, err);
		if (ret < 0)
			return ret;
	}
	len = runsm__vm_config__get_packed_size(l->config);
	packed = malloc(len);
	if (!packed)
		return rsm_fail(err, ENOMEM, "out of memory");
	(void)runsm__vm_config__pack(l->config, packed);
	l->memfd = memfd_create("runsm-vm-config", MFD_CLOEXEC);
	ret = l->memfd < 0 ? -errno : rsm_write_full(l->memfd, packed, len);
	if (ret == 0 && lseek(l->memfd, 0, SEEK_SET) < 0)
		ret = -errno;
	return ret < 0 ? rsm_fail_errno(err, ret, "write the VM's configuration") : 0;
}

/* ---- state */

static char *now_rfc3339(void)
{
	char seconds[40], *text;
	struct timespec now;
	struct tm tm;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &tm);
	(void)strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm);
	return asprintf(&text, "%s.%09ldZ", seconds, now.tv_nsec) < 0 ? NULL : text;
}

/* The annotations as a tree of their own: the state outlives the spec. */
static int copy_annotations(const struct oci_spec *spec, struct rsm_json **ret)
{
	_cleanup_jsongen_ struct rsm_jsongen *g = NULL;
	const char *text;
	size_t len;

	if (spec->n_annotations == 0)
		return 0;
	if (rsm_jsongen_new(false, &g) < 0)
		return -ENOMEM;
	rsm_jsongen_object(g);
	for (size_t i = 0; i < spec->n_annotations; i++)
		rsm_jsongen_kstring(g, spec->annotations[i].key, spec->annotations[i].value);
	rsm_jsongen_end_object(g);
	if (rsm_jsongen_finish(g, &text, &len) < 0)
		return -ENOMEM;
	return rsm_json_parse(text, len, ret, NULL);
}

static int fill_state(struct launch *l, struct rsm_error *err)
{
	struct ctr_state *s = &l->c->state;

	s->oci_version = strdup(l->spec->oci_version);
	s->bundle = strdup(l->bundle);
	s->rootfs = strdup(l->rootfs);
	s->machine = strdup(accel_name(l->accel));
	s->created = now_rfc3339();
	s->owner = geteuid();
	s->terminal = l->spec->process.terminal;
	s->creating = true;
	if (!s->oci_version || !s->bundle || !s->rootfs || !s->machine || !s->created ||
	    copy_annotations(l->spec, &s->annotations) < 0)
		return rsm_fail(err, ENOMEM, "out of memory");
	return 0;
}

/* ---- the VMM */

/* What the cgroup must have room for. */
static struct cgroup_vm vm_of(const struct launch *l)
{
	struct cgroup_vm vm = {.memory = l->config->memory_bytes,
			       .vcpus = l->config->vcpus,
			       .emulated = l->accel == ACCEL_TCG};
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		vm.files = files.rlim_max; /* the VMM takes all it may have */
	return vm;
}

static struct cgroup_use use_of(const struct launch *l)
{
	const char *path = l->spec->linux_.cgroups_path;

	return (struct cgroup_use){.statefd = l->c->dirfd,
				   .asked_for = path && path[0],
				   .limits = &l->spec->linux_,
				   .vm = vm_of(l),
				   .annotations = l->spec->annotations,
				   .n_annotations = l->spec->n_annotations};
}

static int prepare_cgroup(struct launch *l, struct rsm_error *err)
{
	const struct cgroup_where where = {.id = l->c->id,
					   .cgroups_path = l->spec->linux_.cgroups_path,
					   .root = l->env->root,
					   .systemd = l->env->systemd_cgroup};
	const struct cgroup_use use = use_of(l);
	int ret = cgroup_plan(l->c->dirfd, &where, &l->cgroup, err);

	return ret < 0 ? ret : cgroup_prepare(l->cgroup, &use, err);
}

static int limit_rates(struct launch *l, struct rsm_error *err)
{
	const struct cgroup_use use = use_of(l);

	return cgroup_rates(l->cgroup, &use, err);
}

static int make_scratch(struct launch *l, struct rsm_error *err)
{
	if (!l->config->scratch_bytes)
		return 0;
	l->scratch = scratch_make(l->settings.scratch_dir, l->config->scratch_bytes, err);
	return l->scratch < 0 ? l->scratch : 0;
}

static int place_vmm(void *cookie, pid_t pid, struct rsm_error *err)
{
	const struct launch *l = cookie;
	const struct cgroup_use use = use_of(l);

	return cgroup_enter(l->cgroup, &use, pid, err);
}

/*
 * In namespaces of its own, if we may make any. What a container must not share with others is in
 * the VM; these are for the day the guest takes the VMM over.
 */
static int spawn_apart(struct launch *l, struct rsm_spawn *how, struct rsm_error *err)
{
	int ret;

	how->namespaces = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
	if (!l->spec->linux_.network_path)
		how->namespaces |= CLONE_NEWNET;
	ret = rsm_spawn(how, &l->pid, &l->pidfd, err);
	if (ret != -EPERM)
		return ret;
	rsm_log(geteuid() == 0 ? RSM_LOG_WARNING : RSM_LOG_DEBUG,
		"without CAP_SYS_ADMIN the VMM has no namespaces of its own");
	if (err)
		*err = (struct rsm_error)RSM_ERROR_INIT;
	how->namespaces = 0;
	return rsm_spawn(how, &l->pid, &l->pidfd, err);
}

static int spawn_vmm(struct launch *l, struct rsm_error *err)
{
	const struct cmd_env *env = l->env;
	const char *argv[8] = {l->vmm, l->c->id};
	int fds[VMM_EXTRA + LAUNCH_EXTRA_FDS_MAX + 1], sync[2], ret;
	_cleanup_close_ int report = -1;
	size_t n = 2;

	if (env->debug)
		argv[n++] = "--debug";
	if (!l->o->detach) /* it may keep stderr open, and say there why a VM died */
		argv[n++] = "--foreground";
	else if (!env->log_path) /* who reads it to its end must not wait for the container's */
		argv[n++] = "--log-of-start";
	if (env->log_format == RSM_LOG_JSON) {
		argv[n++] = "--log-format";
		argv[n++] = "json";
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sync) < 0)
		return rsm_fail_errno(err, errno, "create a socket pair");
	l->sync = sync[0];
	report = sync[1];
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		fds[i] = i;
	fds[VMM_CONFIG] = l->memfd;
	fds[VMM_SYNC] = report;
	fds[VMM_STATE_DIR] = l->c->dirfd;
	/* Without --log the container's stderr is the caller's: the VMM must not write there too.
	 */
	fds[VMM_LOG] = env->log_path || env->debug ? env->log_fd : -1;
	fds[VMM_CONSOLE] = l->console;
	for (unsigned i = 0; i < l->o->preserve_fds; i++)
		fds[VMM_EXTRA + i] = STDERR_FILENO + 1 + (int)i;
	fds[VMM_EXTRA + l->o->preserve_fds] = l->scratch;
	{
		struct rsm_spawn how = {
			.argv = argv,
			.fds = fds,
			.nfds = VMM_EXTRA + l->o->preserve_fds + (l->scratch >= 0),
			.place = place_vmm,
			.cookie = l,
			/* PID 1 of a namespace loses what it neither handles nor blocks */
			.blocked = true,
			.outlive = true, /* it ends by itself when the other end of the sync socket is gone */
		};

		ret = spawn_apart(l, &how, err);
	}
	if (ret < 0)
		return ret;
	l->c->state.pid = l->pid;
	l->c->state.pid_start = rsm_proc_start_time(l->pid);
	l->c->state.hooks = hooks_any(l->spec);
	return 0;
}

void launch_undo(struct ctr *c)
{
	struct rsm_error ignored = RSM_ERROR_INIT;

	if (c->state.pid > 0) {
		(void)ctr_kill_vmm(c, -1);
		while (waitpid(c->state.pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (hooks_remove(c, &ignored) < 0)
		rsm_log_warn("%s", ignored.message);
}

int write_pid_file(const char *path, pid_t pid, struct rsm_error *err)
{
	char text[16], dir[PATH_MAX];
	const char *name = strrchr(path, '/');
	_cleanup_close_ int dirfd = -1;
	int ret;

	(void)snprintf(text, sizeof(text), "%d", pid);
	name = name ? name + 1 : path;
	ret = name == path ? rsm_format(dir, sizeof(dir), ".")
			   : rsm_format(dir, sizeof(dir), "%.*s", (int)(name - path), path);
	if (ret == 0) {
		dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		ret = dirfd < 0 ? -errno
				: rsm_write_file_atomic_at(dirfd, name, text, strlen(text), 0644);
	}
	return ret < 0 ? rsm_fail_errno(err, ret, "write the pid file '%s'", path) : 0;
}

/* The VMM waits, with namespaces and nothing opened, until the hooks have run. */
static int run_hooks(struct launch *l, struct rsm_error *err)
{
	const struct hooks_watch watch = {.signals = l->signals, .vmm = l->pidfd};
	int ret;

	if (!l->config->await_hooks)
		return 0;
	ret = launch_report(l, true, err);
	if (ret == 0)
		ret = hooks_at_create(l->spec, l->c, &watch, err);
	if (ret == 0 && send(l->sync, "g", 1, MSG_NOSIGNAL) != 1)
		ret = rsm_fail_errno(err, errno, "let the VMM go on");
	return ret;
}

/* With the state directory there: everything that must be undone by launch_undo(). */
static int start_vmm(struct launch *l, struct rsm_error *err)
{
	int ret = rsm_write_file_atomic_at(l->c->dirfd, "config.json", l->text, l->text_len, 0600);

	if (ret < 0)
		return rsm_fail_errno(err, ret, "copy config.json");
	ret = fill_state(l, err);
	if (ret == 0)
		ret = prepare_cgroup(l, err);
	if (ret == 0)
		ret = make_scratch(l, err);
	if (ret == 0)
		ret = spawn_vmm(l, err);
	if (ret == 0)
		ret = ctr_save(l->c, err);
	if (ret == 0)
		ret = run_hooks(l, err);
	if (ret == 0)
		ret = launch_report(l, false, err);
	if (ret == 0)
		ret = limit_rates(l, err);
	if (ret < 0)
		return ret;
	l->c->state.creating = false;
	ret = ctr_save(l->c, err);
	if (ret == 0 && l->o->pid_file)
		ret = write_pid_file(l->o->pid_file, l->pid, err);
	return ret;
}

int launch(const struct cmd_env *env, const char *id, const struct launch_opts *o, struct ctr **ret,
	   int *ret_pidfd, struct rsm_error *err)
{
	_cleanup_(launch_done) struct launch l = {.env = env,
						  .o = o,
						  .console = -1,
						  .scratch = -1,
						  .memfd = -1,
						  .sync = -1,
						  .pidfd = -1,
						  .signals = -1};
	sigset_t set, old;
	int r = prepare(&l, id, err);

	if (r == 0)
		r = write_config(&l, id, err);
	if (r < 0)
		return r;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, &old);
	l.signals = signalfd(-1, &set, SFD_CLOEXEC);
	r = l.signals < 0 ? rsm_fail_errno(err, errno, "signalfd")
			  : ctr_create(env->root, id, &l.c, err);
	if (r == 0 && l.spec->root_readonly)
		vmconfig_make_mountpoints(l.rootfs, l.config->container);
	if (r == 0) {
		r = start_vmm(&l, err);
		if (r < 0) {
			if (l.pid == 0)
				l.c->state.pid = 0; /* reaped already */
			launch_undo(l.c);
		}
	}
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		return r;
	*ret_pidfd = rsm_steal_fd(l.pidfd);
	*ret = rsm_steal_ptr(l.c);
	return 0;
}
