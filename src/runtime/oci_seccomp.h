/* SPDX-License-Identifier: Apache-2.0 */
/* Private to oci_seccomp*.c. */
#ifndef RSM_RUNTIME_OCI_SECCOMP_H
#define RSM_RUNTIME_OCI_SECCOMP_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

#define SECCOMP_ENOSYS_LEN 10

/* The highest number of a system call that a profile names, for each architecture of a guest */
struct seccomp_last {
	unsigned x86_64, x32, x86;
};

/* The profile names this one, too. */
void seccomp_last_name(struct seccomp_last *last, const char *name);

/**
 * seccomp_enosys() - What comes before the filter of a profile that denies by default
 * @x32, @x86:	the profile has these architectures, too
 * @to:		room for SECCOMP_ENOSYS_LEN instructions
 *
 * Return: number of instructions, 0 if the profile names no call that is known
 */
size_t seccomp_enosys(const struct seccomp_last *last, bool x32, bool x86, struct sock_filter *to);

#endif
