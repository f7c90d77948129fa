// SPDX-License-Identifier: Apache-2.0
/*
 * The few registers of the board: reset and power-off.
 *
 * Port 0x64 is the keyboard controller's command port as far as a reset goes (`reboot=k`, and the
 * ACPI reset register); it reads as an idle controller so that kernels do not wait for it. Port
 * 0x600 and 0x601 are the ACPI sleep control and status registers (ACPI 6.4, 4.8.3.7).
 */
#include "vmm/kvm_internal.h"

#include <string.h>

#define RESET_VALUE 0xfe
#define SLP_EN      0x20
#define SLP_TYPE(v) ((v) >> 2 & 7)
#define SLP_TYPE_S5 5

static void reset_read(void *cookie, uint64_t offset, void *data, uint32_t len)
{
	memset(data, 0, len);
}

static void reset_write(void *cookie, uint64_t offset, const void *data, uint32_t len)
{
	if (*(const uint8_t *)data == RESET_VALUE)
		kvm_vm_end(cookie, KVM_END_RESET, 0, "");
}

static void sleep_read(void *cookie, uint64_t offset, void *data, uint32_t len)
{
	memset(data, 0, len);
}

static void sleep_write(void *cookie, uint64_t offset, const void *data, uint32_t len)
{
	uint8_t value = *(const uint8_t *)data;

	if (offset == 0 && value & SLP_EN && SLP_TYPE(value) == SLP_TYPE_S5)
		kvm_vm_end(cookie, KVM_END_POWEROFF, 0, "");
}

int kvm_board_init(struct kvm_vm *vm)
{
	static const struct mmio_ops reset = {.read = reset_read, .write = reset_write};
	static const struct mmio_ops sleep = {.read = sleep_read, .write = sleep_write};
	int r = kvm_vm_pio(vm, KVM_PORT_RESET, 1, &reset, vm);

	if (r == 0)
		r = kvm_vm_pio(vm, KVM_PORT_SLEEP, 2, &sleep, vm);
	return r;
}
