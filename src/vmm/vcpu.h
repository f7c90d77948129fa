/* SPDX-License-Identifier: Apache-2.0 */
/* vCPU state, for those who start or look at one. All of it is for a vCPU that is not running. */
#ifndef RSM_VMM_VCPU_H
#define RSM_VMM_VCPU_H

#include "vmm/gmem.h"

#include <stddef.h>
#include <stdint.h>

struct vcpu;

/**
 * vcpu_enter_pvh() - Registers of the PVH entry: 32-bit protected mode, flat segments, no paging
 * @start_info:	goes to %ebx
 * Spec: Xen docs/misc/pvh.pandoc, "x86/HVM direct boot ABI"
 */
int vcpu_enter_pvh(struct vcpu *v, gpa_t entry, gpa_t start_info);

/**
 * vcpu_enter_64() - Registers of Linux's 64-bit entry: long mode, identity-mapped
 * @cr3:	page tables that map what is needed at the same virtual addresses
 * @gdt:	with a 64-bit code segment at 0x10 and data at 0x18
 * @boot_params: goes to %rsi
 * Spec: Linux Documentation/x86/boot.rst, "64-bit Boot Protocol"
 */
int vcpu_enter_64(struct vcpu *v, gpa_t entry, gpa_t boot_params, gpa_t cr3, gpa_t gdt);

/* Describe registers and the code at the instruction pointer, as lines. Best effort. */
void vcpu_describe(struct vcpu *v, char *buf, size_t size);

#endif
