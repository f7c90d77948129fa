// SPDX-License-Identifier: Apache-2.0
/*
 * What each kind of thread may do, and nothing else; on top of what no thread may
 * (jail_seccomp.c), which stays in force: of two filters the stricter answer counts.
 *
 * A list has what the thread's own code calls, which is what its objects leave undefined, and what
 * the C library does under it: memory, locks, threads, clocks where the vDSO has none, abort().
 * Whoever makes another call ends the process, but for those a library tries and does without: they
 * fail, and no guest brings a VM down that way.
 */
#include "vmm/jail.h"

#include "base/math.h"
#include "vmm/jail_bpf.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* Every thread: also writes, to eventfds and the log. */
static const uint16_t any[] = {
	SYS_write, SYS_writev, SYS_futex, SYS_restart_syscall,
	/* malloc(), stacks */
	SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_getrandom,
	SYS_sched_getaffinity,
	/* clocks */
	SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_time, SYS_getcpu,
	SYS_clock_nanosleep, SYS_nanosleep, SYS_sched_yield,
	/* signals to our own threads, abort(), and the end of a thread */
	SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_sigaltstack, SYS_getpid,
	SYS_gettid, SYS_tgkill, SYS_exit, SYS_exit_group, SYS_set_robust_list, SYS_rseq,
};

/* Of no use to any thread, but tried: the first log line looks for the time zone's file. */
static const uint16_t refused[] = {
	SYS_open, SYS_openat, SYS_stat, SYS_fstat, SYS_newfstatat, SYS_access, SYS_faccessat,
	SYS_readlink, SYS_read, SYS_lseek, SYS_close, SYS_fcntl, SYS_prctl, SYS_sysinfo, SYS_uname,
	SYS_prlimit64, SYS_getrlimit, SYS_membarrier, SYS_ioctl,
};

/* A vCPU: the guest, answers to its PIO and MMIO, and its registers when it ends badly. */
static const uint32_t vcpu_ioctls[] = {KVM_RUN, KVM_GET_REGS, KVM_GET_SREGS, KVM_TRANSLATE};

/* The scratch disk: one file, and the eventfds of its queue. */
static const uint16_t disk[] = {
	SYS_preadv, SYS_preadv2, SYS_pwritev, SYS_pwritev2, SYS_fallocate, SYS_poll, SYS_ppoll,
	SYS_read,
};

/* The file server (src/fuse, src/virtiofs): files by fd, and names below those. */
static const uint16_t files[] = {
	/* its queue, helpers, and the thread that waits for locks */
	SYS_epoll_wait, SYS_epoll_pwait, SYS_poll, SYS_ppoll, SYS_clone, SYS_clone3,
	/* inodes */
	SYS_openat, SYS_openat2, SYS_close, SYS_statx, SYS_newfstatat, SYS_fstat, SYS_fstatfs,
	SYS_readlinkat, SYS_fcntl, SYS_faccessat, SYS_faccessat2,
	SYS_fchmod, SYS_fchmodat, SYS_fchmodat2, SYS_fchown, SYS_fchownat, SYS_utimensat,
	SYS_umask, SYS_unshare, SYS_geteuid, SYS_getegid, SYS_getuid, SYS_getgid,
	/* names */
	SYS_mkdirat, SYS_mknodat, SYS_symlinkat, SYS_linkat, SYS_unlinkat, SYS_renameat,
	SYS_renameat2,
	/* contents */
	SYS_read, SYS_readv, SYS_pread64, SYS_preadv, SYS_preadv2, SYS_pwrite64, SYS_pwritev,
	SYS_pwritev2, SYS_lseek, SYS_ftruncate, SYS_fallocate, SYS_copy_file_range, SYS_fsync,
	SYS_fdatasync, SYS_syncfs, SYS_getdents64, SYS_flock,
	/* extended attributes; by path for links, which cannot be opened */
	SYS_getxattr, SYS_setxattr, SYS_listxattr, SYS_removexattr, SYS_fgetxattr, SYS_fsetxattr,
	SYS_flistxattr, SYS_fremovexattr,
};

#define CODE_MAX 256

struct code {
	struct sock_filter at[CODE_MAX];
	unsigned short n;
};

static void add(struct code *c, struct sock_filter f)
{
	rsm_assert(c->n < CODE_MAX);
	c->at[c->n++] = f;
}

static void add_list(struct code *c, const uint16_t *numbers, size_t n, uint32_t action)
{
	for (size_t i = 0; i < n; i++) {
		add(c, (struct sock_filter)IF(numbers[i], 1));
		add(c, (struct sock_filter)RETURN(action));
	}
}

#define ADD(c, list, action) add_list((c), (list), RSM_ARRAY_SIZE(list), (action))

/* ioctl() ends here, whatever its request. */
static void add_vcpu_ioctls(struct code *c)
{
	add(c, (struct sock_filter)IF(SYS_ioctl, 2 * RSM_ARRAY_SIZE(vcpu_ioctls) + 2));
	add(c, (struct sock_filter)LOAD(args[1]));
	for (size_t i = 0; i < RSM_ARRAY_SIZE(vcpu_ioctls); i++) {
		add(c, (struct sock_filter)IF(vcpu_ioctls[i], 1));
		add(c, (struct sock_filter)RETURN(SECCOMP_RET_ALLOW));
	}
	add(c, (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS));
}

int jail_thread(enum jail_thread kind)
{
	static const struct sock_filter head[] = {ONLY_X86_64};
	struct code c = {.n = 0};
	struct sock_fprog program = {.filter = c.at};

	if (!jail_is_locked())
		return 0;
	for (size_t i = 0; i < RSM_ARRAY_SIZE(head); i++)
		add(&c, head[i]);
	if (kind == JAIL_VCPU)
		add_vcpu_ioctls(&c);
	else if (kind == JAIL_DISK)
		ADD(&c, disk, SECCOMP_RET_ALLOW);
	else
		ADD(&c, files, SECCOMP_RET_ALLOW);
	ADD(&c, any, SECCOMP_RET_ALLOW);
	ADD(&c, refused, SECCOMP_RET_ERRNO | EPERM);
	add(&c, (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS));
	program.len = c.n;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}
