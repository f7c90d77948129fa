#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# runsm check and runsm guest: whether a container can run here, and if not, why.

load helpers

setup() {
	ctr_setup "$BATS_TEST_TMPDIR"
	runsm_only
}

@test "check exits with 0 where a container can run, and says how" {
	run -0 --separate-stderr "$RUNTIME" check
	matches 'kvm|KVM' "$output"
	matches "$RUNSM_ACCEL" "$output"
	matches 'QEMU|qemu' "$output"
	matches 'guest' "$output"
}

@test "check tells why KVM is not used" {
	[ ! -e /dev/kvm ] || [ "$RUNSM_ACCEL" = kvm ] || RUNSM_ACCEL=auto
	RUNSM_ACCEL=auto run --separate-stderr "$RUNTIME" check
	matches 'KVM|kvm' "$output"
}

# bats test_tags=tcg
@test "kvm fails closed where KVM is not usable" {
	RUNSM_ACCEL=auto "$RUNTIME" check | grep -qi 'machine.*tcg' || skip "KVM is usable here"
	RUNSM_ACCEL=kvm run --separate-stderr "$RUNTIME" check
	[ "$status" != 0 ]
	bundle
	RUNSM_ACCEL=kvm run --separate-stderr rt run --bundle "$BUNDLE" "$ID" </dev/null
	[ "$status" != 0 ]
	matches 'KVM|kvm' "$stderr"
	nothing_left
}

# bats test_tags=once
@test "guest info describes the image" {
	run -0 --separate-stderr "$RUNTIME" guest info
	matches "$(jq -r .kernelVersion "$RUNSM_GUEST_DIR/manifest.json")" "$output"
	RUNSM_GUEST_DIR=$T/nowhere run --separate-stderr "$RUNTIME" guest info
	[ "$status" != 0 ]
	matches 'runsm guest build' "$stderr"
}

# bats test_tags=once
@test "guest build does nothing when the image is up to date" {
	local before
	before=$(stat -c %i:%Y "$RUNSM_GUEST_DIR"/{kernel,initrd,manifest.json})
	run -0 "$RUNTIME" guest build
	is "$before" "$(stat -c %i:%Y "$RUNSM_GUEST_DIR"/{kernel,initrd,manifest.json})"
}
