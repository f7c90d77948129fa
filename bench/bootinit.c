// SPDX-License-Identifier: Apache-2.0
/*
 * The shortest init: bench/run.sh boots the guest's kernel and initramfs with it, to learn what QEMU
 * and the kernel take to get to init by themselves. It reboots, at which QEMU exits (-no-reboot).
 */
#include <sys/reboot.h>

int main(void)
{
	return reboot(RB_AUTOBOOT);
}
