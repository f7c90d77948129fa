/* SPDX-License-Identifier: Apache-2.0 */
/* What the probe's guest and its host side agree on; also read by the assembler. */
#ifndef RSM_VMM_PROBE_GUEST_H
#define RSM_VMM_PROBE_GUEST_H

/* The guest leaves its step at PROBE_STEP, and writes it here where the host has to look at a
 * clock: exits are dear on the slowest machines that are still usable. */
#define PROBE_PORT      0x10
#define PROBE_PORT_FAIL 0x11 /* the step's result is wrong */

#define PROBE_STEP_LOOP       1 /* timed up to the next step; PROBE_LOOP_ROUNDS times */
#define PROBE_STEP_LOOP_END   2
#define PROBE_STEP_CMPXCHG16B 3
#define PROBE_STEP_XSAVE      4
#define PROBE_STEP_INT3       5
#define PROBE_STEP_DONE       6

#define PROBE_LOOP_ROUNDS 2
#define PROBE_LOOP_COUNT  1500 /* iterations of 2 instructions */

/* Guest-physical layout, all within the first PROBE_MEM_SIZE bytes. */
#define PROBE_MEM_SIZE 0x10000
#define PROBE_PML4     0x1000
#define PROBE_PDPT     0x2000
#define PROBE_PD       0x3000
#define PROBE_STEP     0x0800
#define PROBE_GDT      0x4000
#define PROBE_IDT      0x4100
#define PROBE_XSAVE    0x5000
#define PROBE_STACK    0x7000 /* grows down */
#define PROBE_CODE     0x8000

#define PROBE_CS 0x08
#define PROBE_DS 0x10

#ifndef __ASSEMBLER__
#include <stdint.h>

extern const uint8_t probe_guest_start[], probe_guest_int3[], probe_guest_end[];
#endif

#endif
