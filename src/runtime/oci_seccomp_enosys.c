// SPDX-License-Identifier: Apache-2.0
/*
 * System calls that a profile cannot know.
 *
 * A profile that denies what it does not name says EPERM to calls that are newer than itself, and a
 * C library that tries one of them first, to fall back on ENOSYS, gives up. So, as runc does, what is
 * beyond the last call that the profile names gets ENOSYS, as from a kernel of the profile's age:
 *
 *	if the architecture is x86-64:
 *		if the number is one of x32: if it is beyond x32's last: ENOSYS
 *		else if it is beyond the last: ENOSYS
 *	if the architecture is x86: likewise
 *	the compiled filter
 *
 * Guests are x86-64 machines; filters of other architectures are never asked.
 */
#include "runtime/oci_seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>

#define X32_BIT 0x40000000U

static void raise(unsigned *last, uint32_t arch, const char *name)
{
	int nr = seccomp_syscall_resolve_name_arch(arch, name);

	if (nr > 0 && (unsigned)nr > *last) /* negative: not one of this architecture */
		*last = (unsigned)nr;
}

void seccomp_last_name(struct seccomp_last *last, const char *name)
{
	raise(&last->x86_64, SCMP_ARCH_X86_64, name);
	raise(&last->x32, SCMP_ARCH_X32, name);
	raise(&last->x86, SCMP_ARCH_X86, name);
}

size_t seccomp_enosys(const struct seccomp_last *last, bool x32, bool x86, struct sock_filter *to)
{
	const unsigned last_x32 = x32 ? last->x32 : X32_BIT - 1;
	const struct sock_filter stub[SECCOMP_ENOSYS_LEN] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last_x32, 4, 5),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last->x86_64, 3, 4),
		/* without x86 among the architectures its calls are not ours to answer */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, x86 && last->x86 ? AUDIT_ARCH_I386 : 0, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last->x86, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};

	if (last->x86_64 == 0)
		return 0;
	memcpy(to, stub, sizeof(stub));
	return SECCOMP_ENOSYS_LEN;
}
