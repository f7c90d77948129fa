// SPDX-License-Identifier: Apache-2.0
/*
 * The kvm machine: our VM (kvm.h), the devices it is given behind virtio-mmio, an entropy device
 * and a balloon of its own, a serial console, and the tables that tell the kernel of all that.
 *
 * Kernels learn of the devices by ACPI. With "acpi=off" on their command line they are told there
 * too (virtio_mmio.device=), and of the CPUs by MP tables.
 *
 * Quiesce, for pause and for snapshots: vCPUs first, so that no more kicks and register accesses
 * come; then every queue, which waits for requests that are being served. Resume is the reverse.
 */
#include "vmm/machine.h"

#include "base/buf.h"
#include "base/io.h"
#include "base/log.h"
#include "base/math.h"
#include "vmm/acpi.h"
#include "vmm/balloon.h"
#include "vmm/boot.h"
#include "vmm/kvm.h"
#include "vmm/mmio_transport.h"
#include "vmm/rng.h"
#include "vmm/serial8250.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>

#define DEVICES_MAX (KVM_GSI_LAST - KVM_GSI_FIRST + 1)
#define RESET_VALUE 0xfe
/* reboot=k: port 0x64. No reboot=t: a triple fault shall mean that something broke. The third line
 * is what lets an idle guest sleep: no timers that watch the clock and the scheduler. */
const char machine_kvm_cmdline[] = "console=ttyS0 quiet panic=-1 reboot=k rdinit=/init pci=off "
				   "no_timer_check cryptomgr.notests "
				   "tsc=nowatchdog nowatchdog";

#define REBUILD "make the guest image anew with \"runsm guest build --force\""

static_assert(DEVICES_MAX <= ACPI_MMIO_MAX, "the DSDT holds them all");

/**
 * struct kvm_machine - The machine
 * @console_fd:	where the serial port's output goes; ours
 * @rng, @balloon: the devices that nobody has to ask for
 * @genid_at:	where the guest reads the VM generation id; 0 if it does not know
 * @genid_changed: eventfd that interrupts the guest after a change
 * @events:	source of the VM's event fd while the VM runs
 * @soon:	timer that calls @done from the loop
 */
struct kvm_machine {
	struct machine machine;
	struct rsm_loop *loop;
	machine_exited_fn exited;
	void *cookie;
	struct kvm_vm *vm;
	struct serial8250 serial;
	bool has_serial;
	int console_fd;
	struct vdev *rng, *balloon;
	gpa_t genid_at;
	int genid_changed;
	struct mmio_transport *transports[DEVICES_MAX];
	unsigned ntransports;
	struct acpi_mmio mmio[DEVICES_MAX];
	struct rsm_source *events, *soon;
	machine_done_fn done;
	void *done_cookie;
};

static struct kvm_machine *from_machine(struct machine *m)
{
	return rsm_container_of(m, struct kvm_machine, machine);
}

/* ---- devices */

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

static int add_device(struct kvm_machine *k, struct vdev *d, struct rsm_error *err)
{
	struct mmio_board board = {board_call, board_ioeventfd, board_irqfd, k->vm};
	unsigned i = k->ntransports;
	struct acpi_mmio *at = &k->mmio[i];
	int r;

	if (i == DEVICES_MAX)
		return rsm_fail(err, E2BIG, "more than %d devices", DEVICES_MAX);
	at->base.v = KVM_MMIO_BASE + i * (uint64_t)MMIO_TRANSPORT_LEN;
	at->gsi = KVM_GSI_FIRST + i;
	r = mmio_transport_new(&board, d, kvm_vm_mem(k->vm), at->base, at->gsi, &k->transports[i],
			       err);
	if (r < 0)
		return r;
	k->ntransports++;
	r = kvm_vm_mmio(k->vm, at->base, MMIO_TRANSPORT_LEN, &mmio_transport_ops, k->transports[i]);
	return r < 0 ? rsm_fail_errno(err, r, "%s device", d->ops->name) : 0;
}

static int add_devices(struct kvm_machine *k, const struct machine_config *config,
		       struct rsm_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < config->ndevices; i++)
		r = add_device(k, config->devices[i], err);
	if (r == 0 && rng_new(k->loop, &k->rng) < 0)
		r = rsm_fail_errno(err, ENOMEM, "rng device");
	if (r == 0)
		r = add_device(k, k->rng, err);
	if (r == 0 && balloon_new(k->loop, &k->balloon) < 0)
		r = rsm_fail_errno(err, ENOMEM, "balloon device");
	return r == 0 ? add_device(k, k->balloon, err) : r;
}

static int add_console(struct kvm_machine *k, int fd, struct rsm_error *err)
{
	int r;

	k->console_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (k->console_fd < 0 || rsm_set_nonblock(k->console_fd, true) < 0)
		return rsm_fail_errno(err, errno, "console");
	r = serial8250_init(&k->serial, k->vm, k->console_fd, err);
	k->has_serial = r == 0;
	return r;
}

/* ---- boot */

/* Is @word one of the words of @cmdline? */
static bool has_word(const char *cmdline, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = cmdline; (at = strstr(at, word)); at += len)
		if ((at == cmdline || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
			return true;
	return false;
}

static int make_cmdline(struct kvm_machine *k, const char *added, bool acpi, struct rsm_buf *ret)
{
	rsm_buf_addstr(ret, machine_kvm_cmdline);
	for (unsigned i = 0; !acpi && i < k->ntransports; i++)
		rsm_buf_addf(ret, " virtio_mmio.device=4K@0x%llx:%u",
			     (unsigned long long)k->mmio[i].base.v, k->mmio[i].gsi);
	if (*added)
		rsm_buf_addf(ret, " %s", added);
	return rsm_buf_ok(ret);
}

static int add_generation(struct kvm_machine *k, uint8_t id[ACPI_GENID_BYTES])
{
	if (getrandom(id, ACPI_GENID_BYTES, 0) != ACPI_GENID_BYTES)
		return -EIO;
	k->genid_changed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (k->genid_changed < 0)
		return -errno;
	return kvm_vm_irqfd(k->vm, k->genid_changed, KVM_GSI_EVENT);
}

static int write_tables(struct kvm_machine *k, bool acpi, gpa_t *ret_rsdp)
{
	const struct gmem *mem = kvm_vm_mem(k->vm);
	const struct acpi_config config = {
		.vcpus = kvm_vm_nvcpus(k->vm),
		.ioapic = KVM_IOAPIC_BASE,
		.lapic = KVM_LAPIC_BASE,
		.mmio = k->mmio,
		.nmmio = k->ntransports,
		.serial_port = KVM_PORT_SERIAL,
		.serial_gsi = KVM_GSI_SERIAL,
		.event_gsi = KVM_GSI_EVENT,
		.reset_port = KVM_PORT_RESET,
		.reset_value = RESET_VALUE,
		.sleep_port = KVM_PORT_SLEEP,
	};
	uint8_t genid[ACPI_GENID_BYTES];
	int r;

	if (!acpi)
		return acpi_build_mptable(mem, (gpa_t){BOOT_MPTABLE},
					  BOOT_MPTABLE_END - BOOT_MPTABLE, &config);
	r = add_generation(k, genid);
	return r < 0 ? r
		     : acpi_build(mem, (gpa_t){BOOT_ACPI}, BOOT_MPTABLE - BOOT_ACPI, &config, genid,
				  ret_rsdp, &k->genid_at);
}

static int open_file(const char *path, const char *what, int *ret, struct rsm_error *err)
{
	int r;

	*ret = open(path, O_RDONLY | O_CLOEXEC);
	if (*ret >= 0)
		return 0;
	r = rsm_fail_errno(err, errno, "open %s '%s'", what, path);
	return r == -ENOENT || r == -ENOTDIR ? rsm_error_advise(err, REBUILD) : r;
}

static int load(struct kvm_machine *k, const struct machine_config *config, struct rsm_error *err)
{
	_cleanup_close_ int kernel = -1, initrd = -1;
	_cleanup_buf_ struct rsm_buf cmdline = {0};
	struct boot_config boot = {.initrd = -1};
	const char *added = config->cmdline ? config->cmdline : "";
	bool acpi = !has_word(added, "acpi=off");
	int r = open_file(config->kernel, "kernel", &kernel, err);

	if (r == 0 && config->initrd && *config->initrd)
		r = open_file(config->initrd, "initramfs", &initrd, err);
	if (r < 0)
		return r;
	r = write_tables(k, acpi, &boot.rsdp);
	if (r == 0)
		r = make_cmdline(k, added, acpi, &cmdline);
	if (r < 0)
		return rsm_fail_errno(err, r, "describe the machine");
	boot.kernel = kernel;
	boot.initrd = initrd;
	boot.cmdline = cmdline.data;
	r = boot_load(k->vm, &boot, err);
	if (r == -ENOEXEC)
		rsm_error_advise(err, REBUILD);
	return r < 0 ? rsm_error_prefix(err, "kernel '%s'", config->kernel) : 0;
}

/* ---- ops */

static void kvm_free(struct machine *m)
{
	struct kvm_machine *k = from_machine(m);
	char exits[1024];

	rsm_loop_remove(k->events);
	rsm_loop_remove(k->soon);
	if (k->vm)
		kvm_vm_stop(k->vm);
	if (k->vm && rsm_log_level() >= RSM_LOG_DEBUG) {
		kvm_vm_describe_exits(k->vm, exits, sizeof(exits));
		rsm_log_debug("exits by %s", exits);
	}
	for (unsigned i = 0; i < k->ntransports; i++)
		mmio_transport_free(k->transports[i]);
	rng_free(k->rng);
	balloon_free(k->balloon);
	if (k->has_serial)
		serial8250_fini(&k->serial);
	rsm_close(&k->console_fd);
	rsm_close(&k->genid_changed);
	kvm_vm_free(k->vm);
	free(k);
}

static void kvm_freep(struct kvm_machine **k)
{
	if (*k)
		kvm_free(&(*k)->machine);
}

static int kvm_create(struct rsm_loop *loop, const struct machine_config *config,
		      machine_exited_fn exited, void *cookie, struct machine **ret,
		      struct rsm_error *err)
{
	_cleanup_(kvm_freep) struct kvm_machine *k = calloc(1, sizeof(*k));
	struct kvm_vm_config vm = {.memory = config->memory, .vcpus = config->vcpus};
	int r;

	if (!k)
		return rsm_fail_errno(err, ENOMEM, "create");
	k->console_fd = k->genid_changed = -1;
	k->loop = loop;
	k->exited = exited;
	k->cookie = cookie;
	if (!rsm_align_up(config->memory, 4096, &vm.memory))
		return rsm_fail(err, EINVAL, "too much memory");
	r = kvm_vm_new(&vm, &k->vm, err);
	if (r == 0)
		r = add_console(k, config->console_fd, err);
	if (r == 0)
		r = add_devices(k, config, err);
	if (r == 0)
		r = load(k, config, err);
	if (r < 0)
		return r;
	*ret = &rsm_steal_ptr(k)->machine;
	return 0;
}

/* One line: the lines of the vCPU's state, separated by semicolons. */
static void describe_end(const struct kvm_end *end, struct rsm_error *why)
{
	char line[RSM_ERROR_MESSAGE_MAX];
	size_t n = strlen(end->detail);

	if (end->why == KVM_END_RESET || end->why == KVM_END_POWEROFF)
		return;
	while (n && end->detail[n - 1] == '\n')
		n--;
	snprintf(line, sizeof(line), "%.*s", (int)n, end->detail);
	for (char *at = line; (at = strchr(at, '\n'));)
		*at = ';';
	(void)rsm_fail(why, EIO, "%s", line);
}

static void on_event(void *cookie, int fd, uint32_t events)
{
	struct kvm_machine *k = cookie;
	struct rsm_error why = RSM_ERROR_INIT;
	const struct kvm_end *end = kvm_vm_service(k->vm);

	if (!end)
		return;
	rsm_loop_remove(k->events);
	k->events = NULL;
	serial8250_flush(&k->serial);
	describe_end(end, &why);
	k->exited(k->cookie, &why);
}

static int kvm_start(struct machine *m, struct rsm_error *err)
{
	struct kvm_machine *k = from_machine(m);
	int r = rsm_loop_add(k->loop, kvm_vm_event_fd(k->vm), EPOLLIN, on_event, k, &k->events);

	if (r < 0)
		return rsm_fail_errno(err, r, "watch the VM");
	return kvm_vm_start(k->vm, err);
}

static void done_soon(void *cookie)
{
	struct kvm_machine *k = cookie;
	struct rsm_error err = RSM_ERROR_INIT;

	k->soon = NULL;
	k->done(k->done_cookie, &err);
}

static int call_done(struct kvm_machine *k, machine_done_fn done, void *cookie)
{
	if (k->soon)
		return -EBUSY;
	k->done = done;
	k->done_cookie = cookie;
	return rsm_loop_timer(k->loop, 0, done_soon, k, &k->soon);
}

static int kvm_pause(struct machine *m, machine_done_fn done, void *cookie)
{
	struct kvm_machine *k = from_machine(m);
	int r = call_done(k, done, cookie);

	if (r < 0)
		return r;
	kvm_vm_pause(k->vm);
	for (unsigned i = 0; i < k->ntransports; i++)
		mmio_transport_quiesce(k->transports[i]);
	return 0;
}

static int kvm_resume(struct machine *m, machine_done_fn done, void *cookie)
{
	struct kvm_machine *k = from_machine(m);
	int r = call_done(k, done, cookie);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < k->ntransports; i++)
		mmio_transport_resume(k->transports[i]);
	kvm_vm_resume(k->vm);
	return 0;
}

static int kvm_set_generation(struct machine *m, const uint8_t id[MACHINE_GENERATION_BYTES])
{
	struct kvm_machine *k = from_machine(m);
	void *at;

	if (!k->genid_at.v)
		return -EOPNOTSUPP;
	at = gmem_ptr(kvm_vm_mem(k->vm), k->genid_at, MACHINE_GENERATION_BYTES);
	if (!at)
		return -EFAULT;
	memcpy(at, id, MACHINE_GENERATION_BYTES);
	return eventfd_write(k->genid_changed, 1) < 0 ? -errno : 0;
}

const struct machine_ops machine_kvm = {
	.name = "kvm",
	.create = kvm_create,
	.start = kvm_start,
	.pause = kvm_pause,
	.resume = kvm_resume,
	.set_generation = kvm_set_generation,
	.free = kvm_free,
};
