// SPDX-License-Identifier: Apache-2.0
/*
 * Locks, and requests that wait for one (SETLKW).
 *
 * A file system's setlk never waits. A SETLKW that finds the lock taken becomes a waiter: its
 * request is answered with -EINPROGRESS, and one thread of the session's, started with the first
 * waiter, tries again until it succeeds, fails, or INTERRUPT names it. It tries whenever a request
 * of this session may have given a lock back (unlock, FLUSH, RELEASE), and every POLL_MS in
 *between, because locks are also taken and given back on the host behind our back. No thread ever
 *blocks in the kernel for a lock, so nothing has to be interrupted there.
 *
 *	SETLKW ─setlk: EAGAIN─▶ waiter ─setlk: 0 or error─▶ deferred answer
 *	                           └───INTERRUPT, reset────▶ deferred answer EINTR
 *
 * Locking: the lock covers the list. It is given up while setlk or the deferred function runs; that
 * is safe because only the thread takes waiters off the list and others only append. Waiters are
 * tried oldest first.
 */
#include "fuse/session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define POLL_MS     20
#define WAITERS_MAX 1024

struct fsrv_waiter {
	struct fsrv_waiter *next;
	struct fsrv_fs *fs;
	struct fuse_in_header h;
	struct fuse_lk_in in;
	void *tag;
	bool interrupted;
};

static void answer(struct fsrv_lockwait *w, const struct fsrv_waiter *x, int error)
{
	struct fuse_out_header h = {.len = sizeof(h), .error = error, .unique = x->h.unique};

	w->fn(w->cookie, x->tag, &h, sizeof(h));
}

/* Answer and free waiters whose time has come. Called and returns with the lock held. */
static void try_all(struct fsrv_lockwait *w)
{
	struct fsrv_waiter **at = &w->waiters;

	while (*at) {
		struct fsrv_waiter *x = *at;
		bool over = x->interrupted || w->stop;
		int r;

		/* only this thread takes waiters off the list, and new ones go to its end */
		pthread_mutex_unlock(&w->lock);
		r = over ? -EINTR : x->fs->ops->setlk(x->fs, x->h.nodeid, &x->in);
		pthread_mutex_lock(&w->lock);
		if (r == -EAGAIN) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		atomic_fetch_sub(&w->n, 1);
		pthread_mutex_unlock(&w->lock);
		answer(w, x, r);
		free(x);
		pthread_mutex_lock(&w->lock);
	}
}

static void *wait_thread(void *arg)
{
	struct fsrv_lockwait *w = arg;

	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		uint64_t kicks = w->kicks;
		struct timespec until;

		try_all(w);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += POLL_MS * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_nsec -= 1000000000L;
			until.tv_sec++;
		}
		while (!w->stop && kicks == w->kicks) {
			if (!w->waiters)
				pthread_cond_wait(&w->changed, &w->lock);
			else if (pthread_cond_timedwait(&w->changed, &w->lock, &until) == ETIMEDOUT)
				break;
		}
	}
	try_all(w);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int fsrv_lockwait_init(struct fsrv_lockwait *w)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

void fsrv_lockwait_cancel_all(struct fsrv_lockwait *w)
{
	pthread_mutex_lock(&w->lock);
	if (w->running) {
		w->stop = true;
		pthread_cond_signal(&w->changed);
		pthread_mutex_unlock(&w->lock);
		pthread_join(w->thread, NULL);
		pthread_mutex_lock(&w->lock);
		w->running = false;
		w->stop = false;
	}
	pthread_mutex_unlock(&w->lock);
}

void fsrv_lockwait_destroy(struct fsrv_lockwait *w)
{
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
}

void fsrv_lockwait_kick(struct fsrv_lockwait *w)
{
	if (__builtin_expect(atomic_load_explicit(&w->n, memory_order_relaxed) == 0, 1))
		return;
	pthread_mutex_lock(&w->lock);
	w->kicks++;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

/* The first waiter starts the thread. All signals are other threads' business. */
static int start_thread(struct fsrv_lockwait *w)
{
	sigset_t all, old;
	int r;

	if (w->running)
		return w->stop ? -EINTR : 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&w->thread, NULL, wait_thread, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	w->running = r == 0;
	return -r;
}

static ssize_t wait_for_lock(struct fsrv_req *r, const struct fuse_lk_in *in)
{
	struct fsrv_lockwait *w = &r->s->lockwait;
	struct fsrv_waiter *x, **at;
	int e;

	if (!w->fn)
		return -EAGAIN;
	if (atomic_load(&w->n) >= WAITERS_MAX)
		return -ENOLCK;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->fs = r->fs;
	x->h = r->h;
	x->in = *in;
	x->tag = r->tag;
	pthread_mutex_lock(&w->lock);
	e = start_thread(w);
	if (e == 0) {
		for (at = &w->waiters; *at; at = &(*at)->next)
			;
		*at = x;
		atomic_fetch_add(&w->n, 1);
		w->kicks++;
		pthread_cond_signal(&w->changed);
		e = -EINPROGRESS;
	} else {
		free(x);
	}
	pthread_mutex_unlock(&w->lock);
	return e;
}

/* Shared by the three requests: bounds and type. */
static int get_lock(struct fsrv_req *r, struct fuse_lk_in *in)
{
	FSRV_GET(r, in);
	if (in->lk.type != F_RDLCK && in->lk.type != F_WRLCK && in->lk.type != F_UNLCK)
		return -EINVAL;
	if (in->lk.start > INT64_MAX || in->lk.end > INT64_MAX || in->lk.end < in->lk.start)
		return -EINVAL;
	return 0;
}

ssize_t fsrv_op_getlk(struct fsrv_req *r)
{
	struct fuse_lk_in in;
	int e = get_lock(r, &in);

	if (e < 0)
		return e;
	FSRV_NEED(r, getlk);
	e = r->fs->ops->getlk(r->fs, r->h.nodeid, &in, &r->reply.body.lk.lk);
	return e < 0 ? e : (ssize_t)sizeof(r->reply.body.lk);
}

static ssize_t setlk(struct fsrv_req *r, bool wait)
{
	struct fuse_lk_in in;
	int e = get_lock(r, &in);

	if (e < 0)
		return e;
	FSRV_NEED(r, setlk);
	e = r->fs->ops->setlk(r->fs, r->h.nodeid, &in);
	if (e == -EAGAIN && wait)
		return wait_for_lock(r, &in);
	if (e == 0)
		fsrv_lockwait_kick(&r->s->lockwait);
	return e;
}

ssize_t fsrv_op_setlk(struct fsrv_req *r)
{
	return setlk(r, false);
}

ssize_t fsrv_op_setlkw(struct fsrv_req *r)
{
	return setlk(r, true);
}

ssize_t fsrv_op_interrupt(struct fsrv_req *r)
{
	struct fsrv_lockwait *w = &r->s->lockwait;
	struct fuse_interrupt_in in;

	FSRV_GET(r, &in);
	if (atomic_load(&w->n) == 0)
		return 0;
	pthread_mutex_lock(&w->lock);
	for (struct fsrv_waiter *x = w->waiters; x; x = x->next) {
		if (x->h.unique == in.unique) {
			x->interrupted = true;
			w->kicks++;
			pthread_cond_signal(&w->changed);
			break;
		}
	}
	pthread_mutex_unlock(&w->lock);
	return 0;
}
