// SPDX-License-Identifier: Apache-2.0
/*
 * runsm-vmm ID [--debug] [--foreground] [--log-of-start] [--log-format json]
 *
 * Started by `runsm create` with the fds of vmm_sandbox.h; never by hand. Its pid stands for the
 * container's init on the host: signals sent to it are init's, and its exit status is init's.
 */
#include "vmm/main/vmm_sandbox.h"

#include "base/io.h"
#include "base/log.h"
#include "base/math.h"
#include "vmm/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

/*
 * Init gets what we get; SIGWINCH is the terminal's. Not these, which are about ourselves. SIGKILL
 * needs no help: QEMU dies with us.
 */
static const int not_forwarded[] = {SIGKILL, SIGSTOP, SIGCHLD, SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
				    SIGABRT, SIGTRAP, SIGSYS,  SIGPIPE, SIGXCPU, SIGXFSZ};

static void signalled(void *cookie, int fd, uint32_t events)
{
	struct signalfd_siginfo info;
	struct sandbox *s = cookie;

	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGWINCH) {
			tty_resized(s);
		} else if (s->init_pid) {
			sandbox_signal_init(s, (int)info.ssi_signo);
		} else {
			struct rsm_error err = {.code = EINTR,
						.exit_status = 128 + (int)info.ssi_signo};

			(void)rsm_format(
				err.message, sizeof(err.message),
				"killed by signal %u while the container was being created",
				info.ssi_signo);
			sandbox_fail(s, &err);
		}
	}
}

static int take_signals(struct sandbox *s, int *ret_fd)
{
	sigset_t set;

	sigfillset(
		&set); /* vCPU threads have SIGRTMIN, their own, unblocked: it reaches them first */
	for (size_t i = 0; i < RSM_ARRAY_SIZE(not_forwarded); i++)
		sigdelset(&set, not_forwarded[i]);
	/* we are started with all of them blocked, so that none is lost before this */
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
		return -errno;
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (*ret_fd < 0)
		return -errno;
	(void)signal(SIGPIPE, SIG_IGN);
	/* a guest that writes beyond our ulimit -f gets EFBIG, not us killed */
	(void)signal(SIGXFSZ, SIG_IGN);
	return rsm_loop_add(s->loop, *ret_fd, EPOLLIN, signalled, s, NULL);
}

/* A process of its own, that nothing of the caller's reaches by accident. */
static void detach(void)
{
	struct rlimit files;

	(void)prctl(PR_SET_PDEATHSIG, 0);
	(void)setsid();
	(void)umask(0); /* the guest's modes are final */
	(void)prctl(PR_SET_NAME, "runsm-vmm");
	jail_self();
	/* An inode the guest knows is an open fd here. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	/* One arena: few threads, and memory beyond guest RAM is what we promise to spare. */
	(void)mallopt(M_ARENA_MAX, 1);
	for (int fd = FD_CONFIG; fd <= FD_CONSOLE_SOCKET; fd++)
		(void)rsm_set_cloexec(fd, true);
}

static int parse(int argc, char **argv, struct sandbox *s)
{
	enum rsm_log_format format = RSM_LOG_TEXT;

	if (argc < 2)
		return -EINVAL;
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--debug") == 0)
			rsm_log_set_level(RSM_LOG_DEBUG);
		else if (strcmp(argv[i], "--foreground") == 0)
			s->keep_stderr = true;
		else if (strcmp(argv[i], "--log-of-start") == 0)
			s->log_of_start = true;
		else if (strcmp(argv[i], "--log-format") == 0 && i + 1 < argc)
			format = strcmp(argv[++i], "json") == 0 ? RSM_LOG_JSON : RSM_LOG_TEXT;
		else
			return -EINVAL;
	}
	rsm_log_set_name("runsm-vmm");
	rsm_log_to(FD_LOG, format, s->keep_stderr);
	return 0;
}

static int run(struct sandbox *s, struct rsm_error *err)
{
	int r, signal_fd;

	r = rsm_loop_new(&s->loop);
	if (r < 0)
		return rsm_fail_errno(err, r, "start the event loop");
	r = take_signals(s, &signal_fd);
	if (r < 0)
		return rsm_fail_errno(err, r, "take signals");
	r = vmm_config_read(FD_CONFIG, &s->config, err);
	close(FD_CONFIG);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < s->config->extra_fds + (s->config->scratch_bytes > 0); i++)
		(void)rsm_set_cloexec(FD_EXTRA + (int)i, true);
	r = sandbox_start(s, err);
	if (r < 0)
		return r;
	r = rsm_loop_run(s->loop);
	return r < 0 ? rsm_fail_errno(err, r, "event loop") : r;
}

int main(int argc, char **argv)
{
	struct sandbox s = {
		.sync_fd = FD_SYNC,
		.state_fd = FD_STATE_DIR,
		.listen_fd = -1,
		.tty_fd = -1,
	};
	struct rsm_error err = RSM_ERROR_INIT;
	int status;

	if (parse(argc, argv, &s) < 0) {
		(void)fprintf(stderr, "runsm-vmm is started by runsm\n");
		return EXIT_VM_FAILED;
	}
	detach();
	status = run(&s, &err);
	if (status < 0) {
		if (s.sync_fd >= 0)
			sandbox_report(&s, &err);
		else
			rsm_log_error("%s", err.message);
		status = EXIT_VM_FAILED;
	}
	sandbox_free(&s);
	if (s.config)
		runsm__vm_config__free_unpacked(s.config, NULL);
	rsm_loop_free(s.loop);
	return status;
}
