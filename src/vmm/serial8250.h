/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An 8250 serial port for the early console: what the guest sends comes out, nothing goes in.
 *
 * Each character is an exit of the guest, so this is for the kernel's messages, not for the
 * container's output. There is no baud rate: a character is sent the moment it is written, the
 * transmitter is always empty, and its interrupt comes at once when enabled. The 16 bytes of a FIFO
 * are there so that a driver sends as many per interrupt.
 *
 * Spec: National Semiconductor PC16550D, 8 (registers)
 */
#ifndef RSM_VMM_SERIAL8250_H
#define RSM_VMM_SERIAL8250_H

#include "base/error.h"
#include "vmm/kvm.h"

#include <pthread.h>

#define SERIAL8250_LINE_MAX 256

/**
 * struct serial8250 - The port
 * @out:	nonblocking fd that gets the output, in lines where possible; what does not fit is
 *		lost (a guest may send more than anyone reads). The caller's; -1: nowhere.
 * @irq:	eventfd bound to the GSI
 * @lock:	guards the registers: any vCPU may come
 */
struct serial8250 {
	int out;
	int irq;
	pthread_mutex_t lock;
	uint8_t ier, fcr, lcr, mcr, scr;
	uint16_t divisor;
	bool tx_interrupt;
	size_t used;
	char line[SERIAL8250_LINE_MAX];
};

/* Attach the port to @vm at 0x3f8, GSI 4. @s outlives the VM. */
int serial8250_init(struct serial8250 *s, struct kvm_vm *vm, int out, struct rsm_error *err);

/* Write out an unfinished line. Context: no vCPU runs. */
void serial8250_flush(struct serial8250 *s);
void serial8250_fini(struct serial8250 *s);

#endif
