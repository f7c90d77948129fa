#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Scratch space: a disk of the VM's own (annotation io.runsm.scratch).

load helpers.bash

setup() {
	ctr_setup "$BATS_TEST_TMPDIR"
	runsm_only
	export RUNSM_SCRATCH_DIR=$T/disks
	bundle
}

scratch() { cfg '.annotations["io.runsm.scratch"] = $s' --arg s "$1"; }

# KiB of the disk that are in use on the host, whether the file has a name or not
on_host() {
	local fd pid
	pid=$(ctr_pid)
	for fd in "/proc/$pid/fd/"*; do
		case $(readlink "$fd") in
		"$T/disks/"*) stat -L -c %b "$fd" | awk '{ print int($1 / 2) }' ;;
		esac
	done
}

host_below() { [ "$(on_host)" -lt "$1" ]; }

@test "scratch: a file system of that size, with the mount point's owner and mode, empty" {
	scratch 300M@/home/tester
	sh_args 'stat -c "%u:%g %a" /home/tester; ls -A /home/tester; df -m /home/tester | tail -n 1'
	chmod 2750 "$BUNDLE/rootfs/home/tester"
	ctr_run 0
	matches '^1000:1000 2750
/dev/[a-z/]* +2[0-9][0-9] +[0-9] ' "$output"
	[ -z "$(ls -A "$BUNDLE/rootfs/home/tester")" ]
	[ -z "$(ls -A "$T/disks")" ]
}

@test "scratch: what is written is read, and what is deleted goes back to the host" {
	local empty
	scratch 1G@/data
	ctr_up
	empty=$(on_host)
	[ "$empty" -lt 20000 ]
	in_ctr sh -c 'head -c 20000000 /dev/zero | tr "\\0" x >/data/x && sync && md5sum </data/x >/data/sum &&
		dd if=/data/x bs=1M iflag=direct | md5sum | cmp - /data/sum'
	[ "$(on_host)" -gt 19000 ]
	in_ctr sh -c 'rm /data/x && sync'
	wait_for 30 host_below $((empty + 5000))
}

@test "scratch: goes with the container, killed or not" {
	scratch 64M@/data
	ctr_up
	in_ctr sh -c 'echo x >/data/x && sync'
	kill -9 "$(ctr_pid)"
	wait_status stopped
	rt delete "$ID"
	[ -z "$(ls -A "$T/disks")" ]
	sh_args 'ls -A /data'
	ctr_run 0
	[ -z "$output" ]
}

@test "scratch: pause and resume in the middle of writing" {
	scratch 1G@/data
	sh_args 'i=0; while [ $i -lt 40 ]; do head -c 500000 /dev/zero >/data/$i; i=$((i + 1)); done
		sync; ls /data | wc -l'
	ctr_create
	rt start "$ID"
	for _ in 1 2 3; do
		rt pause "$ID"
		rt resume "$ID"
	done
	wait_status stopped
	has 40 "$(cat "$T/out")"
}

@test "scratch: a full disk of the guest is its own affair" {
	scratch 32M@/data
	sh_args 'dd if=/dev/zero of=/data/x bs=1M count=40 2>&1 | grep -c "No space left"; rm /data/x; echo y >/data/y && cat /data/y'
	ctr_run 0
	has '1
y' "$output"
}

@test "scratch: what cannot be is refused by name" {
	local bad
	for bad in 1G 1G@data '@/data' '-1G@/data' 1X@/data 15M@/data 17T@/data 99999999999999999999@/x 1G@ \
		'0x100000000@/data'; do
		scratch "$bad"
		fails 1 'annotations.io.runsm.scratch.*not SIZE@/PATH' create --bundle "$BUNDLE" "$ID"
	done
	scratch 64M@/data
	touch "$T/file"
	RUNSM_SCRATCH_DIR=$T/file fails 1 "scratch space in '$T/file'" create --bundle "$BUNDLE" "$ID"
	fails 1 'does not exist' state "$ID"
}
