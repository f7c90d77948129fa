/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a tiny guest on the VMM's own parts. */
#ifndef TESTS_GUEST_HOST_H
#define TESTS_GUEST_HOST_H

#include "base/loop.h"
#include "vmm/kvm.h"
#include "vmm/mmio_transport.h"
#include "vmm/serial8250.h"

#define HOST_REPORTS_MAX 64

/**
 * struct host - A VM with a tiny guest
 * @net_peer:	where the network device's packets go
 * @reports:	what the guest reported, the first @nreports
 * @syncs:	accesses of GUEST_PORT_SYNC
 */
struct host {
	struct kvm_vm *vm;
	struct rsm_loop *loop;
	struct vdev *rng, *net, *blk;
	struct mmio_transport *transports[3];
	int net_peer;
	const struct kvm_end *end;
	struct serial8250 serial;
	void *readonly;
	int console[2];
	unsigned nreports;
	uint32_t reports[HOST_REPORTS_MAX];
	unsigned long syncs;
};

/* Skip the test with a reason if this machine has no /dev/kvm for us (fails if tests are strict).
 */
void host_need_kvm(void);

/* Make a VM of @vcpus with the guest called @name loaded, not started. @pvh: by which entry */
void host_init(struct host *h, const char *name, unsigned vcpus, bool pvh);
void host_fini(struct host *h);

/* Start, serve until it ends. Return: why, NULL if it is still running after @ms */
const struct kvm_end *host_run(struct host *h, unsigned ms);
/* The same for a VM that was started. */
const struct kvm_end *host_wait(struct host *h, unsigned ms);

/* Read what is in the console pipe; NUL-terminated. */
void host_console(struct host *h, char *buf, size_t size);

#endif
