/* SPDX-License-Identifier: Apache-2.0 */
/* Private to tcg*.c: what makes the guest boot quickly under emulation (docs/guest-boot.md). */
#ifndef RSM_VMM_TCG_BOARD_H
#define RSM_VMM_TCG_BOARD_H

#include <stdbool.h>
#include <stdint.h>

/**
 * tcg_kernel_wants_acpi() - Does this kernel find virtio-mmio devices through ACPI only?
 *
 * A kernel that takes them from its command line boots faster without ACPI.
 * Return: 1 or 0, -errno if the file cannot be read
 */
int tcg_kernel_wants_acpi(const char *path);

/* One reading of the host's counter and its time. */
struct tcg_tsc {
	uint64_t tsc, ns;
};

void tcg_tsc_read(struct tcg_tsc *t);

/**
 * tcg_tsc_khz() - The host's TSC frequency, as the cycles since @start
 *
 * Spins until @start is at least 2 ms ago, which gives some 0.01 %. TCG passes the counter through
 * to the guest.
 */
uint32_t tcg_tsc_khz(const struct tcg_tsc *start);

#endif
