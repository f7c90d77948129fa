/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the jail_*.c files: the words seccomp programs are written in. */
#ifndef RSM_VMM_JAIL_BPF_H
#define RSM_VMM_JAIL_BPF_H

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip))
#define RETURN(action)	BPF_STMT(BPF_RET | BPF_K, (action))

/* System calls of other tables than that of x86-64 have this bit, or another architecture. */
#define X32_BIT 0x40000000U

/* Ends with the number of the system call loaded. */
#define ONLY_X86_64                                                                                \
	LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),                  \
		RETURN(SECCOMP_RET_KILL_PROCESS), LOAD(nr),                                        \
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1),                                \
		RETURN(SECCOMP_RET_KILL_PROCESS)

/* Did this process call jail_syscalls() with success? */
bool jail_is_locked(void);

#endif
