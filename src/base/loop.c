// SPDX-License-Identifier: Apache-2.0
#include "base/loop.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/math.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_ROUND 64

/*
 * Removed sources stay on loop->dead until the round is over, so that an event fetched for them in
 * the same round finds a source that says "dead" instead of freed memory.
 */
struct rsm_source {
	struct rsm_loop *loop;
	struct rsm_source *next; /* on loop->timers, sorted by due_ns, or on loop->dead */
	int fd;			 /* -1: a timer */
	bool dead;
	bool in_epoll;
	bool listed; /* fd source on loop->fds, for rsm_loop_free() */
	struct rsm_source *prev_fd, *next_fd;
	rsm_io_fn io;
	rsm_timer_fn timer;
	void *cookie;
	uint64_t due_ns;
};

struct rsm_loop {
	int epoll_fd;
	bool stop;
	int value;
	int depth; /* of rsm_loop_once(): the dead are freed by the outermost round only */
	struct rsm_source *timers;
	struct rsm_source *fds;
	struct rsm_source *dead;
};

uint64_t rsm_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

int rsm_loop_new(struct rsm_loop **ret)
{
	struct rsm_loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		int ret_errno = -errno;

		free(loop);
		return ret_errno;
	}
	*ret = loop;
	return 0;
}

static void bury(struct rsm_loop *loop)
{
	while (loop->dead) {
		struct rsm_source *s = loop->dead;

		loop->dead = s->next;
		free(s);
	}
}

void rsm_loop_free(struct rsm_loop *loop)
{
	if (!loop)
		return;
	while (loop->fds)
		rsm_loop_remove(loop->fds);
	while (loop->timers)
		rsm_loop_remove(loop->timers);
	bury(loop);
	close(loop->epoll_fd);
	free(loop);
}

int rsm_loop_add(struct rsm_loop *loop, int fd, uint32_t events, rsm_io_fn fn, void *cookie,
		 struct rsm_source **ret_source)
{
	struct rsm_source *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->fd = fd;
	s->io = fn;
	s->cookie = cookie;
	ret = rsm_source_set_events(s, events);
	if (ret < 0) {
		free(s);
		return ret;
	}
	s->listed = true;
	s->next_fd = loop->fds;
	if (loop->fds)
		loop->fds->prev_fd = s;
	loop->fds = s;
	if (ret_source)
		*ret_source = s;
	return 0;
}

int rsm_source_set_events(struct rsm_source *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };
	int op = s->in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (epoll_ctl(s->loop->epoll_fd, op, s->fd, &ev) < 0)
		return -errno;
	s->in_epoll = true;
	return 0;
}

int rsm_source_pause(struct rsm_source *s)
{
	if (!s->in_epoll)
		return 0;
	if (epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL) < 0)
		return -errno;
	s->in_epoll = false;
	return 0;
}

static void unlist_timer(struct rsm_source *s)
{
	for (struct rsm_source **at = &s->loop->timers; *at; at = &(*at)->next) {
		if (*at == s) {
			*at = s->next;
			return;
		}
	}
}

void rsm_loop_remove(struct rsm_source *s)
{
	if (!s || s->dead)
		return;
	s->dead = true;
	if (s->fd >= 0) {
		(void)rsm_source_pause(s);
		if (s->prev_fd)
			s->prev_fd->next_fd = s->next_fd;
		else if (s->listed)
			s->loop->fds = s->next_fd;
		if (s->next_fd)
			s->next_fd->prev_fd = s->prev_fd;
	} else {
		unlist_timer(s);
	}
	s->next = s->loop->dead;
	s->loop->dead = s;
}

int rsm_loop_timer(struct rsm_loop *loop, uint64_t ns, rsm_timer_fn fn, void *cookie,
		   struct rsm_source **ret_source)
{
	struct rsm_source *s = calloc(1, sizeof(*s)), **at;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->fd = -1;
	s->timer = fn;
	s->cookie = cookie;
	if (!rsm_add(rsm_now_ns(), ns, &s->due_ns))
		s->due_ns = UINT64_MAX;
	for (at = &loop->timers; *at && (*at)->due_ns <= s->due_ns; at = &(*at)->next)
		;
	s->next = *at;
	*at = s;
	if (ret_source)
		*ret_source = s;
	return 0;
}

/* Milliseconds until the next timer, rounded up; @timeout_ms if that is sooner. */
static int wait_ms(const struct rsm_loop *loop, int timeout_ms)
{
	uint64_t now, ms;

	if (!loop->timers)
		return timeout_ms;
	now = rsm_now_ns();
	if (loop->timers->due_ns <= now)
		return 0;
	ms = (loop->timers->due_ns - now + 999999) / 1000000;
	if (timeout_ms >= 0 && (uint64_t)timeout_ms < ms)
		return timeout_ms;
	return ms > 1000000 ? 1000000 : (int)ms;
}

static void fire_timers(struct rsm_loop *loop)
{
	uint64_t now = rsm_now_ns();

	while (loop->timers && loop->timers->due_ns <= now && !loop->stop) {
		struct rsm_source *s = loop->timers;

		rsm_loop_remove(s);
		s->timer(s->cookie);
	}
}

int rsm_loop_once(struct rsm_loop *loop, int timeout_ms)
{
	struct epoll_event events[EVENTS_PER_ROUND];
	int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_ROUND, wait_ms(loop, timeout_ms));

	if (n < 0 && errno != EINTR)
		return -errno;
	loop->depth++;
	for (int i = 0; i < n; i++) {
		struct rsm_source *s = events[i].data.ptr;

		if (!s->dead && s->in_epoll)
			s->io(s->cookie, s->fd, events[i].events);
	}
	fire_timers(loop);
	if (--loop->depth == 0)
		bury(loop);
	return 0;
}

int rsm_loop_run(struct rsm_loop *loop)
{
	loop->stop = false;
	while (!loop->stop) {
		int ret = rsm_loop_once(loop, -1);

		if (ret < 0)
			return ret;
	}
	return loop->value;
}

void rsm_loop_stop(struct rsm_loop *loop, int value)
{
	loop->value = value;
	loop->stop = true;
}
