// SPDX-License-Identifier: Apache-2.0
/*
 * A process's life as the agent sees it.
 *
 *	SETUP ──report──▶ CREATED ──StartContainer──▶ EXECING ──end of sync──▶ RUNNING
 *	  │                (init only; exec goes to EXECING at once)              │
 *	  └── failed: killed, reaped, then the call is failed           reaped: EXITED ──drained──▶
 *DONE
 *
 * CreateContainer is answered when the child has reported and every stream is connected; Exec when,
 * on top of that, the program was executed; Wait in DONE.
 */
#include "agent/agent.h"
#include "agent/setup.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/proc.h"

#include <ctype.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static bool is_init(const struct process *p)
{
	return !p->exec_id[0];
}

/* ---------------------------------------------------------------- answers */

static void reply_wait(struct process *p, struct ttrpc_call *call)
{
	Runsm__WaitResponse reply = RUNSM__WAIT_RESPONSE__INIT;

	reply.status = p->status;
	reply.stdout_bytes = streams_bytes(p, STREAM_STDOUT);
	reply.stderr_bytes = streams_bytes(p, STREAM_STDERR);
	reply.tty_bytes = streams_bytes(p, STREAM_TTY);
	reply.oom_killed = p->oom_killed;
	reply.oom_kills = p->container->oom.kills;
	reply.n_extra_bytes = streams_count_extra(p);
	reply.extra_bytes = p->extra_bytes;
	p->waited = true;
	ttrpc_reply(call, &reply.base);
}

static void done(struct process *p)
{
	p->state = PROCESS_DONE;
	if (is_init(p) && p->container->agent->sync_at_exit)
		sync();
	if (is_init(p)) {
		oom_close(&p->container->oom);
		(void)cgroup_remove(p->container->agent, p->container->id);
	}
	for (size_t i = 0; i < p->nwaiters; i++)
		reply_wait(p, p->waiters[i]);
	free(p->waiters);
	p->waiters = NULL;
	p->nwaiters = 0;
}

void process_wait(struct process *p, struct ttrpc_call *call)
{
	struct ttrpc_call **grown;

	if (p->state == PROCESS_DONE) {
		reply_wait(p, call);
		return;
	}
	grown = reallocarray(p->waiters, p->nwaiters + 1, sizeof(struct ttrpc_call *));
	if (!grown) {
		ttrpc_fail(call, ENOMEM, "out of memory for a waiter");
		return;
	}
	p->waiters = grown;
	p->waiters[p->nwaiters++] = call;
}

static void reply_created(struct process *p)
{
	Runsm__CreateContainerResponse created = RUNSM__CREATE_CONTAINER_RESPONSE__INIT;
	Runsm__ExecResponse executed = RUNSM__EXEC_RESPONSE__INIT;
	struct ttrpc_call *call = rsm_steal_ptr(p->reply_to);

	if (is_init(p)) {
		created.pid = (uint32_t)p->pid;
		ttrpc_reply(call, &created.base);
	} else {
		executed.pid = (uint32_t)p->pid;
		ttrpc_reply(call, &executed.base);
	}
}

static void reply_if_ready(struct process *p)
{
	enum process_state ready = is_init(p) ? PROCESS_CREATED : PROCESS_RUNNING;

	if (p->reply_to && !p->failure.code && p->state >= ready && streams_connected(p))
		reply_created(p);
}

static void reply_started(struct process *p)
{
	Runsm__Empty empty = RUNSM__EMPTY__INIT;

	if (!p->start_reply_to)
		return;
	if (p->failure.code)
		ttrpc_fail_error(rsm_steal_ptr(p->start_reply_to), &p->failure);
	else
		ttrpc_reply(rsm_steal_ptr(p->start_reply_to), &empty.base);
}

/* Setting up has failed for the reason in p->failure; the rest happens when the child is reaped. */
static void give_up(struct process *p)
{
	(void)rsm_pidfd_send_signal(p->pidfd, SIGKILL);
}

void process_stream_connected(struct process *p, int error, uint32_t port)
{
	if (error < 0 && p->reply_to && !p->failure.code) {
		(void)rsm_fail_errno(&p->failure, error, "connect to port %u of the host", port);
		give_up(p);
	}
	if (p->state == PROCESS_EXITED)
		process_stream_drained(p);
	reply_if_ready(p);
}

void process_stream_drained(struct process *p)
{
	if (p->state == PROCESS_EXITED && streams_drain(p, is_init(p)))
		done(p);
}

/* ---------------------------------------------------------------- what the child says */

static void end_sync(struct process *p)
{
	rsm_loop_remove(p->sync_source);
	p->sync_source = NULL;
	rsm_close(&p->sync);
	if (p->state == PROCESS_EXECING) {
		p->state = PROCESS_RUNNING;
		reply_started(p);
		reply_if_ready(p);
	}
}

static void take_report(struct process *p, const struct setup_report *report, int *fds, size_t nfds)
{
	if (report->err.code) {
		p->failure = report->err;
		p->failure.message[sizeof(p->failure.message) - 1] = '\0';
		give_up(p);
	} else {
		p->state = is_init(p) ? PROCESS_CREATED : PROCESS_EXECING;
		if (nfds > 0)
			streams_set_terminal(p, rsm_steal_fd(fds[0]));
		reply_if_ready(p);
	}
	for (size_t i = 0; i < nfds; i++)
		rsm_close(&fds[i]);
}

/* Return: false when there is nothing more to read now */
static bool read_sync(struct process *p)
{
	struct setup_report report;
	int fds[RSM_FDS_MAX];
	size_t nfds = 0;
	ssize_t n;

	if (p->sync < 0)
		return false;
	n = rsm_recv_fds(p->sync, &report, sizeof(report), fds, &nfds);
	if (n == -EAGAIN)
		return false;
	if (n == sizeof(report)) {
		take_report(p, &report, fds, nfds);
		return true;
	}
	end_sync(p);
	return false;
}

static void on_sync(void *cookie, int fd, uint32_t events)
{
	(void)read_sync(cookie);
}

/* ---------------------------------------------------------------- the end */

static void setup_failed(struct process *p, int wstatus, bool oom)
{
	struct container *c = p->container;
	struct ttrpc_call *call = rsm_steal_ptr(p->reply_to);
	struct rsm_error err = p->failure;

	if (!err.code && oom)
		(void)rsm_fail(&err, ENOMEM,
			       "the process was ended for want of memory while it was being set up: "
			       "linux.resources.memory.limit is too low");
	else if (!err.code)
		(void)rsm_fail(&err, EIO, "the process ended while it was being set up (%s %d)",
			       WIFSIGNALED(wstatus) ? "signal" : "status",
			       WIFSIGNALED(wstatus) ? WTERMSIG(wstatus) : WEXITSTATUS(wstatus));
	if (is_init(p))
		container_free(c);
	else
		process_free(p);
	ttrpc_fail_error(call, &err);
}

void process_reaped(struct process *p, int wstatus)
{
	uint64_t oom_kills = oom_look(&p->container->oom);

	while (read_sync(p))
		;
	if (p->reply_to && (p->failure.code || p->state == PROCESS_SETUP)) {
		setup_failed(p, wstatus, oom_kills > p->oom_kills_before);
		return;
	}
	if (p->sync >= 0)
		end_sync(p);
	reply_started(p);
	p->status = rsm_exit_status(wstatus);
	p->oom_killed = p->status == 128 + SIGKILL && oom_kills > p->oom_kills_before;
	p->state = PROCESS_EXITED;
	rsm_close(&p->pidfd);
	reply_if_ready(p);
	process_stream_drained(p);
}

/* ---------------------------------------------------------------- the beginning */

void process_start(struct process *p, struct ttrpc_call *call)
{
	if (p->state != PROCESS_CREATED) {
		ttrpc_fail(call, EINVAL, "container '%s' is not in state created",
			   p->container->id);
		return;
	}
	if (send(p->sync, "s", 1, MSG_NOSIGNAL) != 1) {
		ttrpc_fail(call, ESRCH, "the process of container '%s' has ended",
			   p->container->id);
		return;
	}
	p->state = PROCESS_EXECING;
	p->start_reply_to = call;
}

int process_resize(struct process *p, uint32_t rows, uint32_t cols)
{
	struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};

	if (p->streams[STREAM_TTY].ours < 0)
		return -ENOTTY;
	return ioctl(p->streams[STREAM_TTY].ours, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

/* A child of exec is born into the container's pid namespace by way of pid_for_children. */
static int clone_child(struct process *p, const struct setup *s)
{
	struct agent *a = p->container->agent;
	struct clone_args args = {.flags = CLONE_PIDFD | CLONE_INTO_CGROUP,
				  .pidfd = (uint64_t)(uintptr_t)&p->pidfd,
				  .exit_signal = SIGCHLD,
				  .cgroup = (uint64_t)s->cgroup};
	long pid;

	if (s->request)
		args.flags |= CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
			      (s->namespaces & (CLONE_NEWNET | CLONE_NEWUSER));
	else if (setns(s->join, CLONE_NEWPID) < 0)
		return -errno;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		pid = -errno;
	if (!s->request && pid != 0)
		rsm_assert(setns(a->pidns_fd, CLONE_NEWPID) == 0);
	return (int)pid;
}

/* In runc's words: callers look for them. */
static int cgroup_failed(const char *path, int ret, struct rsm_error *err)
{
	char why[64];

	(void)rsm_format(why, sizeof(why), "%s", strerror(-ret));
	why[0] = (char)tolower((unsigned char)why[0]);
	return rsm_fail(err, -ret, "error adding pid of the process to cgroups: %s%s/cgroup.procs: %s",
			*path == '/' ? "" : "/", strcmp(path, "/") == 0 ? "" : path, why);
}

/* A cgroup that passes controllers on to those below it has no processes itself: exec goes where
 * init is then, unless it was told where to go. */
static int clone_into_cgroup(struct process *p, struct setup *s, const char *path,
			     struct rsm_error *err)
{
	struct container *c = p->container;
	int ret;

	s->cgroup = cgroup_open_below(c->cgroup_fd, path);
	if (s->cgroup < 0)
		return cgroup_failed(path, s->cgroup, err);
	ret = clone_child(p, s);
	if (ret == -EBUSY && !s->request && !*path) {
		rsm_close(&s->cgroup);
		s->cgroup = cgroup_open_of(c->cgroup_fd, c->id, container_init(c)->pid);
		ret = s->cgroup < 0 ? s->cgroup : clone_child(p, s);
	}
	/* It has processes only below it, threads only, or is gone. */
	if (ret == -EBUSY || ret == -EOPNOTSUPP || ret == -ENODEV)
		return cgroup_failed(path, ret, err);
	return ret < 0 ? rsm_fail_errno(err, ret, "start a process in container '%s'", c->id) : ret;
}

static int open_trees(struct agent *a, struct setup *s, struct rsm_error *err)
{
	const Runsm__CreateContainerRequest *r = s->request;

	s->trees = calloc(r->n_mounts + 1, sizeof(int));
	if (!s->trees)
		return rsm_fail_errno(err, ENOMEM, "prepare the mounts");
	for (; s->ntrees <= r->n_mounts; s->ntrees++) {
		const Runsm__Mount *m = s->ntrees ? r->mounts[s->ntrees - 1] : NULL;
		int fd = -1;

		if (!m)
			fd = setup_open_tree(a->exports_fd, r->root_export, NULL, err);
		else if (strcmp(m->type, "bind") == 0)
			fd = setup_open_tree(a->exports_fd, m->export, m, err);
		else if (strcmp(m->type, "scratch") == 0)
			fd = setup_open_scratch(err);
		else if (strcmp(m->type, "device") == 0)
			fd = setup_open_device(m, err);
		else {
			s->trees[s->ntrees] = -1;
			continue;
		}
		if (fd < 0)
			return m ? rsm_error_prefix(err, "mounts[%zu]: mount '%.100s'",
						    s->ntrees - 1, m->destination)
				 : rsm_error_prefix(err, "root file system");
		s->trees[s->ntrees] = fd;
	}
	return 0;
}

static int open_extra(const struct process *p, struct setup *s, struct rsm_error *err)
{
	const Runsm__Stdio *io = s->process->stdio;
	struct agent *a = p->container->agent;

	if (!io || io->n_extra == 0)
		return 0;
	s->extra = calloc(io->n_extra, sizeof(*s->extra));
	if (!s->extra)
		return rsm_fail_errno(err, ENOMEM, "prepare the fds");
	for (; s->nextra < io->n_extra; s->nextra++) {
		const Runsm__ExtraFd *x = io->extra[s->nextra];
		int fd = p->streams[STREAM_EXTRA + s->nextra].theirs;

		if (fd < 0)
			fd = transport_connect_wait(a, x->port);
		else if ((fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
			return rsm_fail_errno(err, errno, "prepare fd %u", x->fd);
		if (fd < 0)
			return rsm_fail_errno(err, fd, "connect to port %u of the host", x->port);
		s->extra[s->nextra] = (struct setup_extra){fd, (int)x->fd};
	}
	return 0;
}

static void close_setup(struct setup *s)
{
	for (size_t i = 0; i < s->ntrees; i++)
		rsm_close(&s->trees[i]);
	for (size_t i = 0; i < s->nextra; i++)
		rsm_close(&s->extra[i].fd);
	for (size_t i = 0; i < s->nnodes; i++)
		rsm_close(&s->nodes[i]);
	rsm_close(&s->sync);
	rsm_close(&s->cgroup);
	free(s->nodes);
	free(s->trees);
	free(s->extra);
}

/* What is done to the child from outside, while it waits. */
static int prepare_child(struct process *p, const struct setup *s, struct rsm_error *err)
{
	int ret = 0;

	if (!setup_waits(s))
		return 0;
	if (s->request && s->request->nic)
		ret = nic_give(p->pid, err);
	if (ret == 0 && s->userns)
		ret = userns_prepare(p, s, err);
	if (ret == 0 && send(p->sync, "g", 1, MSG_NOSIGNAL) != 1)
		ret = rsm_fail_errno(err, errno, "let the process go on");
	return ret;
}

static int launch(struct process *p, struct setup *s, const char *cgroup, struct rsm_error *err)
{
	struct agent *a = p->container->agent;
	int sv[2], ret;

	ret = streams_open(p, s->process, err);
	if (ret == 0)
		ret = open_extra(p, s, err);
	if (ret == 0 && s->request)
		ret = open_trees(a, s, err);
	if (ret == 0 && s->request && s->userns)
		ret = setup_open_nodes(s, &p->container->nodes, err);
	if (ret < 0)
		return ret;
	for (int i = 0; i < 3; i++)
		s->stdio[i] = p->streams[i].theirs;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return rsm_fail_errno(err, errno, "make a socket pair");
	p->sync = sv[0];
	s->sync = sv[1];
	ret = rsm_set_nonblock(p->sync, true);
	if (ret == 0)
		ret = rsm_loop_add(a->loop, p->sync, EPOLLIN, on_sync, p, &p->sync_source);
	if (ret < 0)
		return rsm_fail_errno(err, ret, "watch the child");
	ret = clone_into_cgroup(p, s, cgroup, err);
	if (ret < 0)
		return ret;
	if (ret == 0)
		setup_child(s);
	p->pid = ret;
	/* From here on a failure is reported when the child is reaped. */
	if (prepare_child(p, s, &p->failure) < 0)
		give_up(p);
	return 0;
}

static struct process *allocate(struct container *c, const char *exec_id,
				const Runsm__Process *spec)
{
	struct process *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->exec_id = strdup(exec_id);
	if (!p->exec_id || streams_new(p, spec) < 0) {
		free(p->exec_id);
		free(p);
		return NULL;
	}
	p->container = c;
	p->pidfd = p->sync = p->slave = -1;
	p->next = c->processes;
	c->processes = p;
	return p;
}

int process_new(struct container *c, const char *exec_id,
		const Runsm__CreateContainerRequest *request, const Runsm__Process *spec,
		const char *cgroup, struct ttrpc_call *call, struct rsm_error *err)
{
	struct setup s = {.request = request,
			  .process = spec,
			  .staging = c->agent->staging,
			  .sync = -1,
			  .cgroup = -1,
			  .join = request ? -1 : container_init(c)->pidfd,
			  .namespaces = request ? request->namespaces : c->namespaces,
			  .die_with_parent = c->agent->test};
	struct process *p = allocate(c, exec_id, spec);
	int ret;

	if (!p)
		return rsm_fail_errno(err, ENOMEM, "make a process");
	s.userns = (s.namespaces & CLONE_NEWUSER) != 0;
	c->namespaces = s.namespaces;
	p->oom_kills_before = oom_look(&c->oom);
	ret = launch(p, &s, cgroup, err);
	close_setup(&s);
	if (ret < 0) {
		process_free(p);
		return ret;
	}
	streams_close_theirs(p);
	p->reply_to = call;
	return 0;
}

void process_free(struct process *p)
{
	for (struct process **at = &p->container->processes; *at; at = &(*at)->next) {
		if (*at == p) {
			*at = p->next;
			break;
		}
	}
	streams_free(p);
	rsm_loop_remove(p->sync_source);
	rsm_close(&p->sync);
	rsm_close(&p->pidfd);
	for (size_t i = 0; i < p->nwaiters; i++)
		ttrpc_fail(p->waiters[i], ESRCH, "the process was never started");
	free(p->waiters);
	free(p->exec_id);
	free(p);
}
