#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Guest memory as the host sees it: taken on use, given back when free.

load helpers

# MiB of host memory behind the guest's RAM
guest_ram() {
	local pid fd
	pid=$(ctr_pid)
	if [ "$RUNSM_ACCEL" = kvm ]; then
		awk '$1 == "RssAnon:" { print int($2 / 1024) }' "/proc/$pid/status"
		return
	fi
	# QEMU's memfd: its blocks, whoever has mapped it
	for fd in /proc/"$(pgrep -P "$pid" -f qemu-system)"/fd/*; do
		if [[ $(readlink "$fd") == *memfd:memory-backend-memfd* ]]; then
			stat -L -c %b "$fd" | awk '{ print int($1 / 2048) }'
			return
		fi
	done
}

ram_below() { [ "$(guest_ram)" -lt "$1" ]; }

@test "memory that the guest has freed goes back to the host" {
	runsm_only
	bundle
	cfg '.linux.resources.memory.limit = 2147483648 |
		.mounts += [{"destination": "/big", "type": "tmpfs", "options": ["size=1200m"]}]'
	ctr_up
	ram_below 600
	in_ctr dd if=/dev/zero of=/big/file bs=1M count=1024
	local full
	full=$(guest_ram)
	[ "$full" -ge 1024 ]
	in_ctr rm /big/file
	wait_for 60 ram_below $((full - 900))
	# and the guest is none the worse for it
	in_ctr sh -c 'dd if=/dev/zero of=/big/file bs=1M count=300 && md5sum </big/file'
	has "$(head -c 300M /dev/zero | md5sum)" "$output"
}
