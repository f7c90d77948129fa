// SPDX-License-Identifier: Apache-2.0
#include "runtime/session.h"

#include "base/io.h"
#include "runtime/tty.h"

#include <signal.h>
#include <sys/signalfd.h>

/* Not passed on: what the kernel raises for a fault or for bookkeeping of this very process. */
static const int own_signals[] = {SIGKILL, SIGSTOP, SIGCHLD, SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
				  SIGABRT, SIGTRAP, SIGSYS,  SIGPIPE, SIGTTIN, SIGTTOU};

int session_block_signals(struct session *s, struct rsm_error *err)
{
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < sizeof(own_signals) / sizeof(own_signals[0]); i++)
		sigdelset(&set, own_signals[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return rsm_fail_errno(err, errno, "block signals");
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals < 0 ? rsm_fail_errno(err, errno, "signalfd") : 0;
}

/* The process may have ended before the signal: then its end is on its way here too. */
static void passed_on(void *cookie, const ProtobufCMessage *reply, const struct rsm_error *err)
{
}

void session_resize(struct session *s)
{
	Runsm__ResizeRequest r = RUNSM__RESIZE_REQUEST__INIT;

	tty_size(s->tty, &r.rows, &r.cols);
	if (s->cl->closed || !r.rows || !r.cols)
		return;
	r.id = s->id;
	r.exec_id = s->exec_id;
	(void)ttrpc_call_async(s->cl->conn, &runsm__sandbox__descriptor, "Resize", &r.base, NULL, 0,
			       passed_on, NULL);
}

static void pass_on(struct session *s, uint32_t sig)
{
	Runsm__SignalRequest r = RUNSM__SIGNAL_REQUEST__INIT;

	/* Without a terminal of its own a resized window is none of its business, as with runc:
	 * to some servers the signal means to stop. */
	if (sig == SIGWINCH) {
		if (s->tty >= 0)
			session_resize(s);
		return;
	}
	if (s->cl->closed)
		return;
	r.id = s->id;
	r.exec_id = s->exec_id;
	r.signal = sig;
	(void)ttrpc_call_async(s->cl->conn, &runsm__sandbox__descriptor, "Signal", &r.base, NULL, 0,
			       passed_on, NULL);
}

static void on_signal(void *cookie, int fd, uint32_t events)
{
	struct signalfd_siginfo si;

	while (read(fd, &si, sizeof(si)) == sizeof(si))
		pass_on(cookie, si.ssi_signo);
}

int session_start(struct session *s, struct rsm_error *err)
{
	int ret = rsm_loop_add(s->cl->loop, s->signals, EPOLLIN, on_signal, s, &s->source);

	return ret < 0 ? rsm_fail_errno(err, ret, "watch signals") : 0;
}

void session_done(struct session *s)
{
	rsm_loop_remove(s->source);
	s->source = NULL;
	rsm_close(&s->signals);
}
