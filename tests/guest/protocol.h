/* SPDX-License-Identifier: Apache-2.0 */
/* What the tiny guests and the program that runs them agree on. */
#ifndef TESTS_GUEST_PROTOCOL_H
#define TESTS_GUEST_PROTOCOL_H

#define GUEST_PORT_REPORT 0xf4 /* 32 bits: a value for the host, appended to its list */
#define GUEST_PORT_SYNC   0xf8 /* 32 bits: counts up on the host; for guests that never end */

/* What the host maps for memory tests. */
#define GUEST_READONLY_BASE 0xc8000000
#define GUEST_READONLY_WORD 0x72656164
#define GUEST_HOLE_BASE     0xc4000000

/* The entropy device's registers. */
#define GUEST_DEVICE 0xd0000000

/* Those of the network device, whose packets nobody takes, and of the block device. */
#define GUEST_NET 0xd0001000
#define GUEST_BLK 0xd0002000

/* What the block device answers to "who are you?": a name, and the status byte. */
#define GUEST_BLK_ID_BYTES 20

/* The VM generation id and its interrupt. */
#define GUEST_GENID     0xef000
#define GUEST_GENID_GSI 5

#define GUEST_RAM (8 << 20)

/* How many buffers ring_busy has filled. */
#define GUEST_BUSY_REQUESTS 200

#endif
