// SPDX-License-Identifier: Apache-2.0
/* What runsm-vmm reports on the sync socket, and what becomes of it. */
#include "runtime/launch_private.h"

#include "base/buf.h"
#include "base/io.h"
#include "base/log.h"
#include "base/math.h"
#include "base/proc.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

/* The VMM keeps the boot timeout itself; this much later it is taken for stuck. */
#define REPORT_GRACE_MS 15000
#define REPORT_MAX      65536

/* The VMM ended without a word: a bug of its own, or somebody killed it. */
static int died(struct launch *l, struct rsm_error *err)
{
	struct pollfd p = {.fd = l->pidfd, .events = POLLIN};
	int status = 0;

	/* One that merely closed the socket is as good as dead. */
	if (poll(&p, 1, 1000) == 0)
		(void)rsm_pidfd_send_signal(l->pidfd, SIGKILL);
	while (waitpid(l->pid, &status, 0) < 0 && errno == EINTR)
		;
	l->pid = 0;
	if (WIFSIGNALED(status))
		return rsm_fail(err, ECHILD, "the VMM was killed by signal %d (%s)",
				WTERMSIG(status), strsignal(WTERMSIG(status)));
	return rsm_fail(err, ECHILD, "the VMM ended with status %d and no report; see its log",
			WEXITSTATUS(status));
}

/* Collect what arrives on the sync socket until its end. Return: 1 at the end, 0 for more */
static int read_report(struct launch *l, struct rsm_buf *b, struct rsm_error *err)
{
	void *to = rsm_buf_reserve(b, 4096);
	ssize_t n = to ? read(l->sync, to, 4096) : -1;

	if (!to || b->len > REPORT_MAX)
		return rsm_fail(err, EMSGSIZE, "the VMM's report is too long");
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n < 0)
		return rsm_fail_errno(err, errno, "read the VMM's report");
	b->len += (size_t)n;
	return n == 0;
}

static bool is_ready(const struct rsm_buf *b)
{
	Runsm__VmReport *r = runsm__vm_report__unpack(NULL, b->len, (const uint8_t *)b->data);
	bool ready = r && r->ready;

	if (r)
		runsm__vm_report__free_unpacked(r, NULL);
	return ready;
}

static int wait_report(struct launch *l, bool ready, struct rsm_buf *b, struct rsm_error *err)
{
	struct pollfd p[] = {{.fd = l->sync, .events = POLLIN},
			     {.fd = l->signals, .events = POLLIN}};
	const int timeout = (int)l->settings.boot_timeout_ms + REPORT_GRACE_MS;

	for (;;) {
		int ret = poll(p, RSM_ARRAY_SIZE(p), timeout);

		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0)
			return rsm_fail_errno(err, errno, "wait for the VMM");
		if (ret == 0)
			return rsm_fail(err, ETIMEDOUT, "the VMM did not report within %d seconds",
					timeout / 1000);
		if (p[1].revents) {
			struct signalfd_siginfo si = {0};

			if (rsm_read_full(l->signals, &si, sizeof(si)) != sizeof(si))
				continue;
			if (err)
				err->exit_status = 128 + (int)si.ssi_signo;
			return rsm_fail(err, EINTR, "interrupted by signal %u", si.ssi_signo);
		}
		ret = read_report(l, b, err);
		if (ret != 0)
			return ret < 0 ? ret : 0;
		if (ready && is_ready(b))
			return 0;
	}
}

#define CONSOLE_TAIL 240

/* The last lines of the guest's console on one line. */
static void console_tail(const char *console, char *to, size_t size)
{
	size_t len = strlen(console), n = 0;
	const char *from;

	while (len > 0 && strchr("\r\n", console[len - 1]))
		len--;
	from = console + (len > CONSOLE_TAIL ? len - CONSOLE_TAIL : 0);
	for (; from < console + len && n + 4 < size; from++) {
		if (*from == '\n')
			n += (size_t)snprintf(to + n, size - n, " | ");
		else if ((unsigned char)*from >= 0x20 && *from != 0x7f)
			to[n++] = *from;
	}
	to[n] = '\0';
}

static int judge(const Runsm__VmReport *r, struct rsm_error *err)
{
	char tail[CONSOLE_TAIL * 3 + 8];

	if (r->ok)
		return 0;
	if (r->console && r->console[0]) {
		console_tail(r->console, tail, sizeof(tail));
		rsm_log_debug("the guest's console:\n%s", r->console);
		(void)rsm_fail(err, r->code ? (int)r->code : EIO,
			       "%s (the guest's console ends: %s)", r->message, tail);
	} else {
		(void)rsm_fail(err, r->code ? (int)r->code : EIO, "%s", r->message);
	}
	err->exit_status = (int)(r->exit_status & 0xff);
	return -err->code;
}

int launch_report(struct launch *l, bool ready, struct rsm_error *err)
{
	_cleanup_buf_ struct rsm_buf b = {0};
	Runsm__VmReport *report;
	int ret = wait_report(l, ready, &b, err);

	if (ret < 0)
		return ret;
	if (b.len == 0)
		return died(l, err);
	report = runsm__vm_report__unpack(NULL, b.len, (const uint8_t *)b.data);
	if (!report)
		return rsm_fail(err, EPROTO, "the VMM's report is not readable");
	ret = judge(report, err);
	runsm__vm_report__free_unpacked(report, NULL);
	return ret;
}
