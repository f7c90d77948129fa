// SPDX-License-Identifier: Apache-2.0
/*
 * The shortest init: bench/run.sh boots the guest's kernel and initramfs with it, to learn what QEMU
 * and the kernel take to get to init by themselves. It reboots, at which QEMU exits (-no-reboot).
 * With "idle" on the command line it sleeps for ever instead.
 */
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	while (argc > 1 && strcmp(argv[argc - 1], "idle") == 0)
		pause();
	return reboot(RB_AUTOBOOT);
}
