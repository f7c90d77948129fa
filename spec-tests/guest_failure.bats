#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A guest image, QEMU or guest kernel that is missing, damaged, silent or dying: the cause in one
# line, the console's last lines where the guest is to blame, and nothing left behind.

load helpers

setup() {
	ctr_setup "$BATS_TEST_TMPDIR"
	runsm_only
	bundle
	export RUNSM_BOOT_TIMEOUT=$((20 * SLOW))
}

# own_guest: a copy of the guest image to damage
own_guest() {
	cp -a --reflink=auto "$RUNSM_GUEST_DIR" "$T/guest"
	export RUNSM_GUEST_DIR=$T/guest
}

# manifest_fits: its sizes are those of the files now, so that the damage is not found by them
manifest_fits() {
	jq --argjson k "$(stat -c %s "$T/guest/kernel")" --argjson i "$(stat -c %s "$T/guest/initrd")" \
		'.kernel.bytes = $k | .initrd.bytes = $i' "$T/guest/manifest.json" >"$T/manifest"
	cp "$T/manifest" "$T/guest/manifest.json"
}

# init_is COMMANDS: the guest's /init is that shell script; a later archive overrides an earlier one
init_is() {
	mkdir "$T/extra"
	cp /bin/busybox "$T/extra/busybox"
	printf '#!/busybox sh\n%s\n' "$1" >"$T/extra/init"
	chmod 755 "$T/extra/init"
	truncate -s %4 "$T/guest/initrd"
	(cd "$T/extra" && printf '%s\n' busybox init | cpio --quiet -o -H newc) >>"$T/guest/initrd"
	manifest_fits
}

# guest_fails REGEX [CONSOLE-REGEX]: run says REGEX as its last error, in the JSON log too
guest_fails() {
	local log=$T/log.json msg
	rm -f "$log"
	run --separate-stderr rt --log "$log" --log-format json run --bundle "$BUNDLE" "$ID" </dev/null
	[ "$status" != 0 ] && [ "$status" -lt 128 ] || is 255 "$status"
	[ "$status" != 124 ] || { echo "timed out" >&2; false; }
	is "" "$output"
	is error "$(tail -n 1 "$log" | jq -r .level)"
	msg=$(tail -n 1 "$log" | jq -r .msg)
	matches "$1" "$msg"
	matches "$1" "$stderr"
	if [ $# -gt 1 ]; then
		matches "$2" "$stderr"
		matches "$2" "$(cat "$log")"
	fi
	nothing_left
	fails 1 "container does not exist" state "$ID"
}

# bats test_tags=once
@test "no guest image: says how to get one" {
	export RUNSM_GUEST_DIR=$T/nowhere
	guest_fails "guest image.*$T/nowhere.*runsm guest build"
	mkdir "$T/nowhere"
	guest_fails 'guest image'
	run -1 --separate-stderr "$RUNTIME" check
	matches 'guest' "$output$stderr"
}

@test "a truncated kernel, initrd or manifest is named" {
	own_guest
	local f
	for f in kernel initrd manifest.json; do
		cp "$T/guest/$f" "$T/whole"
		truncate -s -100 "$T/guest/$f"
		guest_fails "$f"
		rm "$T/guest/$f"
		guest_fails "$f|guest image"
		cp "$T/whole" "$T/guest/$f"
	done
	sh_args 'echo whole again'
	ctr_run 0
	is "whole again" "$output"
}

@test "a kernel that is none" {
	own_guest
	head -c "$(stat -c %s "$T/guest/kernel")" /dev/zero >"$T/zero"
	cp "$T/zero" "$T/guest/kernel"
	export RUNSM_BOOT_TIMEOUT=$((5 * SLOW))
	guest_fails 'kernel|QEMU|answer'
}

@test "an initrd of noise: the guest panics, and its console says why" {
	own_guest
	head -c 100000 /dev/urandom >"$T/guest/initrd"
	manifest_fits
	guest_fails 'panic' 'VFS|init|[Ii]nitramfs'
}

@test "an init that ends: the guest panics, and its console says why" {
	own_guest
	init_is 'exit 3'
	guest_fails 'panic' 'Attempted to kill init'
}

@test "a guest that never answers is given up after RUNSM_BOOT_TIMEOUT" {
	own_guest
	init_is 'echo the guest that sleeps; /busybox sleep 1000'
	export RUNSM_BOOT_TIMEOUT=$((6 * SLOW))
	local start=$SECONDS
	guest_fails 'answer|timed out|time' 'the guest that sleeps'
	[ $((SECONDS - start)) -lt $((60 * SLOW)) ]
}

# bats test_tags=tcg
@test "QEMU missing from PATH" {
	mkdir "$T/bin"
	run --separate-stderr env PATH="$T/bin" "$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID" </dev/null
	[ "$status" != 0 ]
	matches 'qemu-system-x86_64' "$stderr"
	nothing_left
	run --separate-stderr env PATH="$T/bin" "$RUNTIME" check
	[ "$status" != 0 ]
	matches 'qemu-system-x86_64' "$output$stderr"
}

# bats test_tags=tcg
@test "a QEMU that fails at once, or hangs" {
	mkdir "$T/bin"
	printf '#!/bin/sh\necho "qemu: no such machine" >&2\nexit 1\n' >"$T/bin/qemu-system-x86_64"
	chmod 755 "$T/bin/qemu-system-x86_64"
	PATH=$T/bin:$PATH guest_fails 'QEMU|qemu'
	printf '#!/bin/sh\nexec sleep 1000\n' >"$T/bin/qemu-system-x86_64"
	export RUNSM_BOOT_TIMEOUT=3
	PATH=$T/bin:$PATH guest_fails 'QEMU|answer|timed out'
}

@test "a guest kernel that panics later: the container ends, the console's last lines are told" {
	cfg 'del(.linux.readonlyPaths) | .process.capabilities |= with_entries(.value += ["CAP_SYS_ADMIN"])'
	sh_args 'echo up; read go; echo c >/proc/sysrq-trigger; sleep 100'
	mkfifo "$T/in"
	exec 7<>"$T/in"
	rt --log "$T/log" --log-format json run --bundle "$BUNDLE" "$ID" <&7 >"$T/out" 2>"$T/err" &
	local pid=$! rc=0
	wait_for 30 grep -qx up "$T/out"
	echo go >&7
	exec 7>&-
	wait $pid || rc=$?
	[ "$rc" != 0 ] && [ "$rc" -lt 124 ] || is 255 "$rc"
	is up "$(cat "$T/out")"
	matches 'panic' "$(cat "$T/err")"
	grep -q 'sysrq' "$T/log" || matches 'sysrq' "$(cat "$T/err")"
	nothing_left

	# and detached: it counts as stopped
	ctr_up
	wait_status stopped "$ID" 30
	rt delete "$ID"
	nothing_left
}

# bats test_tags=once
@test "an unknown machine is refused" {
	RUNSM_ACCEL=nonesuch run --separate-stderr rt run --bundle "$BUNDLE" "$ID" </dev/null
	[ "$status" != 0 ]
	matches 'RUNSM_ACCEL|accel' "$stderr"
	matches nonesuch "$stderr"
	nothing_left
}
