// SPDX-License-Identifier: Apache-2.0
/*
 * System calls that no thread of runsm-vmm makes once the guest runs, and that an attacker would
 * begin with: programs, processes, other processes' memory, namespaces and mounts, files by handle,
 * and the parts of the kernel with the longest record of holes. Whoever makes one ends the process.
 *
 * It is a list of what is forbidden, and all there is for the main thread, whose needs are the
 * widest. The others have lists of what they may do (jail_threads.c).
 */
#include "vmm/jail.h"

#include "base/math.h"
#include "vmm/jail_bpf.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static atomic_bool locked;

static const uint16_t forbidden[] = {
	/* programs and processes; threads are made by clone() */
	SYS_execve, SYS_execveat, SYS_fork, SYS_vfork,
	/* other processes, and their files */
	SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kcmp,
	/* another view of the host */
	SYS_setns, SYS_chroot, SYS_pivot_root, SYS_mount, SYS_umount2, SYS_open_tree,
	SYS_move_mount, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr,
	SYS_name_to_handle_at, SYS_open_by_handle_at,
	/* another user */
	SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid,
	SYS_setgroups, SYS_capset,
	/* large parts of the kernel that we have no use for */
	SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter,
	SYS_io_uring_register, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_modify_ldt,
	SYS_personality, SYS_socket,
	/* the host itself */
	SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load,
	SYS_reboot, SYS_swapon, SYS_swapoff, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex,
	SYS_clock_adjtime, SYS_sethostname, SYS_setdomainname, SYS_iopl, SYS_ioperm, SYS_acct,
	SYS_quotactl, SYS_syslog,
};

bool jail_is_locked(void)
{
	return atomic_load(&locked);
}

int jail_syscalls(void)
{
	static const struct sock_filter head[] = {
		ONLY_X86_64,
		/* its flags cannot be looked at; the C library then takes clone() */
		IF(SYS_clone3, 1),
		RETURN(SECCOMP_RET_ERRNO | ENOSYS),
	};
	static const struct sock_filter tail[] = {
		IF(SYS_clone, 4), /* threads only */
		LOAD(args[0]),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		RETURN(SECCOMP_RET_ALLOW),
		IF(SYS_unshare, 4), /* a thread's own umask, no namespaces */
		LOAD(args[0]),
		IF(CLONE_FS, 1),
		RETURN(SECCOMP_RET_ALLOW),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		IF(SYS_ioctl, 3), /* not to type into the terminal of whoever started us */
		LOAD(args[1]),
		IF(TIOCSTI, 1),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		RETURN(SECCOMP_RET_ALLOW),
	};
	struct sock_filter code[RSM_ARRAY_SIZE(head) + 2 * RSM_ARRAY_SIZE(forbidden) +
				RSM_ARRAY_SIZE(tail)];
	struct sock_fprog program = {.len = RSM_ARRAY_SIZE(code), .filter = code};
	size_t n = 0;

	if (JAIL_SANITIZED)
		return 0;
	for (size_t i = 0; i < RSM_ARRAY_SIZE(head); i++)
		code[n++] = head[i];
	for (size_t i = 0; i < RSM_ARRAY_SIZE(forbidden); i++) {
		code[n++] = (struct sock_filter)IF(forbidden[i], 1);
		code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS);
	}
	for (size_t i = 0; i < RSM_ARRAY_SIZE(tail); i++)
		code[n++] = tail[i];
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return -errno;
	atomic_store(&locked, true);
	return 0;
}
