// SPDX-License-Identifier: Apache-2.0
#include "host.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/loop.h"
#include "../unit/cmocka_all.h"
#include "protocol.h"
#include "vmm/blk.h"
#include "vmm/boot.h"
#include "vmm/net.h"
#include "vmm/rng.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define GUESTS "tests/guest/guests"

void host_need_kvm(void)
{
	if (access("/dev/kvm", R_OK | W_OK) == 0)
		return;
	if (getenv("RUNSM_TEST_STRICT"))
		fail_msg("/dev/kvm: %s", strerror(errno));
	print_message("# /dev/kvm: %s\n", strerror(errno));
	skip();
}

static void report_write(void *cookie, uint64_t offset, const void *data, uint32_t len)
{
	struct host *h = cookie;
	uint32_t value;

	if (len != sizeof(value) || h->nreports == HOST_REPORTS_MAX)
		return;
	memcpy(&value, data, sizeof(value));
	h->reports[h->nreports++] = value;
}

static void sync_read(void *cookie, uint64_t offset, void *data, uint32_t len)
{
	struct host *h = cookie;

	__atomic_fetch_add(&h->syncs, 1, __ATOMIC_RELAXED);
}

static void sync_write(void *cookie, uint64_t offset, const void *data, uint32_t len)
{
	sync_read(cookie, offset, NULL, len);
}

/* The same program without its PVH note, so that the 64-bit entry is taken. */
static int without_note(int fd)
{
	_cleanup_free_ char *text = NULL;
	static const uint8_t note[] = {4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0};
	int copy = memfd_create("guest", MFD_CLOEXEC);
	char *at;
	size_t len;

	assert_int_equal(rsm_read_file_at(AT_FDCWD, GUESTS, 1 << 20, &text, &len), 0);
	at = memmem(text, len, note, sizeof(note));
	assert_non_null(at);
	at[8] = 19;
	assert_int_equal(rsm_write_full(copy, text, len), 0);
	close(fd);
	return copy;
}

static void board_call(void *cookie, void (*fn)(void *arg), void *arg)
{
	kvm_vm_call(cookie, fn, arg);
}

static int board_ioeventfd(void *cookie, int fd, gpa_t addr, uint32_t value)
{
	return kvm_vm_ioeventfd(cookie, fd, addr, value);
}

static int board_irqfd(void *cookie, int fd, uint32_t gsi)
{
	return kvm_vm_irqfd(cookie, fd, gsi);
}

static void on_event(void *cookie, int fd, uint32_t events)
{
	struct host *h = cookie;

	h->end = kvm_vm_service(h->vm);
}

static void add_device(struct host *h, unsigned i, struct vdev *d, gpa_t base)
{
	struct mmio_board board = {board_call, board_ioeventfd, board_irqfd, h->vm};

	assert_int_equal(mmio_transport_new(&board, d, kvm_vm_mem(h->vm), base, KVM_GSI_FIRST + i,
					    &h->transports[i], NULL),
			 0);
	assert_int_equal(
		kvm_vm_mmio(h->vm, base, MMIO_TRANSPORT_LEN, &mmio_transport_ops, h->transports[i]),
		0);
}

/* All served by the loop that serves the VM, but the disk by its own thread. */
static void add_devices(struct host *h)
{
	int disk = memfd_create("disk", MFD_CLOEXEC), fds[2];
	struct net_config net = {0};

	assert_int_equal(ftruncate(disk, 65536), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	net.fd = fds[0];
	h->net_peer = fds[1];
	assert_int_equal(rsm_loop_new(&h->loop), 0);
	assert_int_equal(rsm_loop_add(h->loop, kvm_vm_event_fd(h->vm), EPOLLIN, on_event, h, NULL),
			 0);
	assert_int_equal(rng_new(h->loop, &h->rng), 0);
	assert_int_equal(net_new(h->loop, &net, &h->net, NULL), 0);
	assert_int_equal(blk_new(disk, &h->blk, NULL), 0);
	add_device(h, 0, h->rng, (gpa_t){GUEST_DEVICE});
	add_device(h, 1, h->net, (gpa_t){GUEST_NET});
	add_device(h, 2, h->blk, (gpa_t){GUEST_BLK});
}

void host_init(struct host *h, const char *name, unsigned vcpus, bool pvh)
{
	static const struct mmio_ops report = {.read = sync_read, .write = report_write};
	static const struct mmio_ops sync = {.read = sync_read, .write = sync_write};
	struct kvm_vm_config config = {.memory = GUEST_RAM, .vcpus = vcpus};
	struct boot_config boot = {.initrd = -1, .cmdline = name};
	struct rsm_error err = RSM_ERROR_INIT;

	memset(h, 0, sizeof(*h));
	if (kvm_vm_new(&config, &h->vm, &err) < 0)
		fail_msg("%s", err.message);
	add_devices(h);
	assert_int_equal(pipe2(h->console, O_CLOEXEC | O_NONBLOCK), 0);
	if (serial8250_init(&h->serial, h->vm, h->console[1], &err) < 0)
		fail_msg("%s", err.message);
	h->readonly = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(h->readonly, MAP_FAILED);
	*(uint32_t *)h->readonly = GUEST_READONLY_WORD;
	assert_int_equal(kvm_vm_map(h->vm, (gpa_t){GUEST_READONLY_BASE}, 4096, h->readonly, true),
			 0);
	assert_int_equal(kvm_vm_pio(h->vm, GUEST_PORT_REPORT, 4, &report, h), 0);
	assert_int_equal(kvm_vm_pio(h->vm, GUEST_PORT_SYNC, 4, &sync, h), 0);
	boot.kernel = open(GUESTS, O_RDONLY | O_CLOEXEC);
	assert_true(boot.kernel >= 0);
	if (!pvh)
		boot.kernel = without_note(boot.kernel);
	if (boot_load(h->vm, &boot, &err) < 0)
		fail_msg("%s", err.message);
	close(boot.kernel);
}

void host_fini(struct host *h)
{
	kvm_vm_stop(h->vm);
	for (unsigned i = 0; i < sizeof(h->transports) / sizeof(h->transports[0]); i++)
		mmio_transport_free(h->transports[i]);
	rng_free(h->rng);
	net_free(h->net);
	blk_free(h->blk);
	close(h->net_peer);
	kvm_vm_free(h->vm);
	rsm_loop_free(h->loop);
	serial8250_fini(&h->serial);
	munmap(h->readonly, 4096);
	close(h->console[0]);
	close(h->console[1]);
}

const struct kvm_end *host_wait(struct host *h, unsigned ms)
{
	uint64_t until = rsm_now_ns() + ms * 1000000ULL;

	while (!h->end && rsm_now_ns() < until)
		assert_int_equal(rsm_loop_once(h->loop, 1), 0);
	return h->end;
}

const struct kvm_end *host_run(struct host *h, unsigned ms)
{
	struct rsm_error err = RSM_ERROR_INIT;

	if (kvm_vm_start(h->vm, &err) < 0)
		fail_msg("%s", err.message);
	return host_wait(h, ms);
}

void host_console(struct host *h, char *buf, size_t size)
{
	ssize_t n;

	serial8250_flush(&h->serial);
	n = read(h->console[0], buf, size - 1);
	buf[n < 0 ? 0 : n] = '\0';
}
