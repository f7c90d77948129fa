// SPDX-License-Identifier: Apache-2.0
#include "floor.h"

#include "base/loop.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The peer: @asked counts requests, each is answered through @call_fd. Killed by its parent. */
static _Noreturn void peer(const uint64_t *asked, int call_fd, unsigned cpu)
{
	uint64_t seen = 0;
	cpu_set_t set;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	for (;;) {
		if (__atomic_load_n(asked, __ATOMIC_ACQUIRE) == seen) {
			sched_yield();
			continue;
		}
		seen++;
		eventfd_write(call_fd, 1);
	}
}

uint64_t floor_ns(unsigned cpu, unsigned ms)
{
	uint64_t *asked =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	    wait_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	uint64_t begin, n = 0, took = 0;
	pid_t pid;

	if (asked == MAP_FAILED || epoll_ctl(wait_fd, EPOLL_CTL_ADD, call_fd, &ev) < 0)
		return 0;
	pid = fork();
	if (pid == 0)
		peer(asked, call_fd, cpu);
	for (begin = rsm_now_ns(); pid > 0 && took < ms * 1000000ULL; took = rsm_now_ns() - begin) {
		__atomic_store_n(asked, ++n, __ATOMIC_RELEASE);
		epoll_wait(wait_fd, &ev, 1, -1);
	}
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	munmap(asked, 4096);
	close(call_fd);
	close(wait_fd);
	return n ? took / n : 0;
}
