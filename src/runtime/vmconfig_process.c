// SPDX-License-Identifier: Apache-2.0
/* The message of a process: the container's, or one of exec. */
#include "runtime/vmconfig.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* protobuf-c wants mutable strings it never writes to. */
#define PB(s)  ((char *)(s))
#define PBB(b) ((uint8_t *)(b))

/* What carries the process's input and output */
enum vmconfig_stdio {
	VMCONFIG_STREAMS,  /* the caller's three fds */
	VMCONFIG_PTY,	   /* a terminal, by the pty whose master went to a console socket */
	VMCONFIG_TERMINAL, /* a terminal, by the caller's stdin and stdout, which need not be one */
};

/* 1 if the caller's fd is to be relayed, 0 if it is /dev/null anyway. */
static uint32_t port_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return 0;
	return S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3) ? 0 : 1;
}

/* As the caller opened it: what is for one direction becomes a pipe in the guest. */
static Runsm__FdAccess access_of(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || (flags & O_ACCMODE) == O_RDWR)
		return RUNSM__FD_ACCESS__READ_WRITE;
	return (flags & O_ACCMODE) == O_RDONLY ? RUNSM__FD_ACCESS__READ_ONLY
					       : RUNSM__FD_ACCESS__WRITE_ONLY;
}

static Runsm__Stdio *stdio_message(struct arena *a, enum vmconfig_stdio kind, unsigned extra_fds)
{
	Runsm__Stdio *s = arena_alloc(a, 1, sizeof(*s));

	if (!s)
		return NULL;
	runsm__stdio__init(s);
	if (kind == VMCONFIG_PTY) {
		s->tty_port = 1;
	} else if (kind == VMCONFIG_TERMINAL) {
		s->stdin_port = port_of(STDIN_FILENO);
		s->stdout_port = 1; /* somebody must take what the terminal says */
	} else {
		s->stdin_port = port_of(STDIN_FILENO);
		s->stdout_port = port_of(STDOUT_FILENO);
		s->stderr_port = port_of(STDERR_FILENO);
	}
	s->n_extra = extra_fds;
	s->extra = arena_alloc(a, extra_fds, sizeof(*s->extra));
	for (unsigned i = 0; s->extra && i < extra_fds; i++) {
		Runsm__ExtraFd *x = arena_alloc(a, 1, sizeof(*x));

		if (!x)
			return NULL;
		runsm__extra_fd__init(x);
		x->fd = STDERR_FILENO + 1 + i;
		x->port = 1;
		x->access = access_of((int)x->fd);
		s->extra[i] = x;
	}
	return s->extra ? s : NULL;
}

static bool add_rlimits(struct arena *a, const struct oci_process *p, Runsm__Process *m)
{
	m->n_rlimits = p->n_rlimits;
	m->rlimits = arena_alloc(a, p->n_rlimits, sizeof(*m->rlimits));
	for (size_t i = 0; m->rlimits && i < p->n_rlimits; i++) {
		Runsm__Rlimit *r = arena_alloc(a, 1, sizeof(*r));

		if (!r)
			return false;
		runsm__rlimit__init(r);
		r->resource = p->rlimits[i].resource;
		r->soft = p->rlimits[i].soft;
		r->hard = p->rlimits[i].hard;
		m->rlimits[i] = r;
	}
	return m->rlimits != NULL;
}

static ProtobufCBinaryData cpus(const struct oci_cpus *c)
{
	ProtobufCBinaryData none = {0};

	return c->given ? (ProtobufCBinaryData){sizeof(c->bits), PBB(c->bits)} : none;
}

static bool add_scheduling(struct arena *a, const struct oci_process *p, Runsm__Process *m)
{
	const struct oci_scheduler *os = &p->scheduler;
	Runsm__Scheduler *s;

	m->io_priority = p->io_priority;
	m->exec_cpus_initial = cpus(&p->exec_initial);
	m->exec_cpus_final = cpus(&p->exec_final);
	if (!os->given)
		return true;
	s = arena_alloc(a, 1, sizeof(*s));
	if (!s)
		return false;
	runsm__scheduler__init(s);
	s->policy = os->policy;
	s->flags = os->flags;
	s->nice = os->nice;
	s->priority = os->priority;
	s->runtime = os->runtime;
	s->deadline = os->deadline;
	s->period = os->period;
	m->scheduler = s;
	return true;
}

Runsm__Process *vmconfig_process(struct arena *a, const struct oci_process *p,
				 const struct oci_linux *l, bool pty, unsigned extra_fds)
{
	enum vmconfig_stdio kind = !p->terminal ? VMCONFIG_STREAMS
				   : pty	? VMCONFIG_PTY
						: VMCONFIG_TERMINAL;
	Runsm__Process *m = arena_alloc(a, 1, sizeof(*m));
	Runsm__User *user = arena_alloc(a, 1, sizeof(*user));
	Runsm__Capabilities *caps = arena_alloc(a, 1, sizeof(*caps));

	if (!m || !user || !caps)
		return NULL;
	runsm__process__init(m);
	runsm__user__init(user);
	runsm__capabilities__init(caps);
	user->uid = p->user.uid;
	user->gid = p->user.gid;
	user->umask = p->user.umask;
	user->has_umask = p->user.has_umask;
	user->n_additional_gids = p->user.n_additional_gids;
	user->additional_gids = p->user.additional_gids;
	caps->bounding = p->caps.bounding;
	caps->effective = p->caps.effective;
	caps->inheritable = p->caps.inheritable;
	caps->permitted = p->caps.permitted;
	caps->ambient = p->caps.ambient;
	m->user = user;
	m->capabilities = caps;
	m->has_capabilities = p->has_caps;
	m->n_args = p->args.n;
	m->args = (char **)p->args.v;
	m->n_env = p->env.n;
	m->env = (char **)p->env.v;
	m->cwd = PB(p->cwd);
	m->terminal = p->terminal;
	m->rows = p->console_rows;
	m->cols = p->console_cols;
	m->no_new_privileges = p->no_new_privileges;
	m->oom_score_adj = p->oom_score_adj;
	m->has_oom_score_adj = p->has_oom_score_adj;
	m->seccomp_filter.data = l->seccomp.filter;
	m->seccomp_filter.len = l->seccomp.len;
	m->seccomp_flags = l->seccomp.flags;
	m->personality = (uint32_t)l->personality;
	m->has_personality = l->has_personality;
	m->stdio = stdio_message(a, kind, extra_fds);
	return m->stdio && add_rlimits(a, p, m) && add_scheduling(a, p, m) ? m : NULL;
}
