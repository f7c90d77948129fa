#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: config-linux.md#masked-paths, config-linux.md#readonly-paths

load helpers

@test "masked paths hold nothing, files and directories alike" {
	bundle
	mkdir -p "$BUNDLE/rootfs/hidden/dir"
	echo secret >"$BUNDLE/rootfs/hidden/file"
	echo secret >"$BUNDLE/rootfs/hidden/dir/file"
	cfg '.linux.maskedPaths += ["/hidden/file", "/hidden/dir", "/no/such/path"]'
	sh_args 'cat /hidden/file; echo $?; ls /hidden/dir | wc -l; cat /proc/kcore | wc -c
		echo x >/hidden/file; cat /hidden/file | wc -c; touch /hidden/dir/x; ls /sys/firmware | wc -l'
	ctr_run 0
	is "0
0
0
0
0" "$output"
	matches 'Read-only file system|Permission denied' "$stderr"
	is secret "$(cat "$BUNDLE/rootfs/hidden/file")"
}

@test "readonly paths can be read and not written" {
	bundle
	mkdir -p "$BUNDLE/rootfs/fixed/dir"
	echo text >"$BUNDLE/rootfs/fixed/dir/f"
	cfg '.linux.readonlyPaths += ["/fixed", "/no/such/path"]'
	sh_args 'cat /fixed/dir/f; echo x >/fixed/dir/f; touch /fixed/new
		echo 1 >/proc/sys/kernel/domainname; echo 1 >/proc/irq/default_smp_affinity; touch /still'
	ctr_run 0
	is text "$output"
	is 4 "$(grep -ciE 'read-only file system' <<<"$stderr")"
	[ -e "$BUNDLE/rootfs/still" ]
	is text "$(cat "$BUNDLE/rootfs/fixed/dir/f")"
}

@test "without masked and readonly paths nothing is hidden" {
	bundle
	cfg 'del(.linux.maskedPaths, .linux.readonlyPaths)'
	sh_args 'test -w /proc/sys/kernel/domainname && echo writable; stat -c %F /proc/timer_list'
	ctr_run 0
	has writable "$output"
	matches 'regular( empty)? file' "$output"
}
