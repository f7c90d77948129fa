#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=once
# What is wrong before the kvm machine's first instruction: the cause in one line that names the
# thing and what to do about it, and nothing left behind. No guest runs here, so a /dev/kvm that
# cannot run one is good enough: the probe's verdict of this boot is replaced by "usable".

load helpers

setup() {
	ctr_setup "$BATS_TEST_TMPDIR"
	runsm_only
	export RUNSM_ACCEL=kvm
	bundle
}

need_kvm() { need test -w /dev/kvm -- "no /dev/kvm"; }

# What the runtime finds instead of the host's /run and /dev: commands for a shell with a mount
# namespace of its own
WORLD=usable

# usable: a /run in which KVM was found to be usable
usable() {
	mount -t tmpfs -o mode=755 tmpfs /run
	"$RUNTIME" check >/dev/null 2>&1 || :
	sed -i '3s/^unusable/usable/' /run/runsm-kvm-probe
}

rt() {
	export -f usable
	export RUNTIME
	timeout --foreground -k 5 60 unshare -m bash -c \
		'world=$1; shift; set -e; eval "$world"; exec "$@"' \
		bash "$WORLD" "$RUNTIME" --root "$ROOT" "$@" 3>&- 4>&-
}

# refused REGEX: run says why, on one line, and leaves nothing behind
refused() {
	local log=$T/log.json
	rm -f "$log"
	run --separate-stderr rt --log "$log" --log-format json run --bundle "$BUNDLE" "$ID" </dev/null
	[ "$status" != 0 ] && [ "$status" -lt 124 ] || is 255 "$status"
	is "" "$output"
	is 1 "$(wc -l <<<"$stderr")" "lines of stderr"
	matches "$1" "$stderr"
	matches "$1" "$(tail -n 1 "$log" | jq -r .msg)"
	nothing_left
}

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

# poke OFFSET BYTES: in the kernel file
poke() { printf "$2" | dd of="$T/guest/kernel" bs=1 seek="$1" conv=notrunc status=none; }

@test "/dev/kvm is missing, or has no driver behind it" {
	WORLD='mkdir /tmp/dev.$$ && mount -t tmpfs tmpfs /tmp/dev.$$ && cd /tmp/dev.$$ &&
		cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty . &&
		mount --move . /dev && cd / && rmdir /tmp/dev.$$'
	refused '/dev/kvm: No such file.*(load kvm_|nested)'
	WORLD+='; mknod /dev/kvm c 10 255'
	refused '/dev/kvm: No such device.*load kvm_'
	# emulation does without
	RUNSM_ACCEL=auto run rt check
	matches 'KVM is absent: /dev/kvm: No such' "$output"
}

@test "/dev/kvm may not be opened" {
	WORLD='mount -t tmpfs -o nodev tmpfs /mnt && mknod -m 666 /mnt/kvm c 10 232 &&
		{ [ -e /dev/kvm ] || : >/dev/kvm; } && mount --bind /mnt/kvm /dev/kvm'
	refused '/dev/kvm: Permission denied.*give this user access'
}

@test "the probe's verdict is kept only where nobody else can write" {
	need_kvm
	WORLD='mount -t tmpfs -o mode=1777 tmpfs /run; "$RUNTIME" check >/dev/null 2>&1 || :
		ls /run/runsm-kvm-probe >&2 2>/dev/null || echo none >&2; exit 3' run --separate-stderr rt state "$ID"
	is none "$stderr"
	WORLD='mount -t tmpfs -o mode=755 tmpfs /run; "$RUNTIME" check >/dev/null 2>&1 || :
		stat -c "%a %U %n" /run/runsm-kvm-probe >&2; exit 3' run --separate-stderr rt state "$ID"
	is "644 root /run/runsm-kvm-probe" "$stderr"
}

@test "/dev/kvm is something else" {
	WORLD='{ [ -e /dev/kvm ] || : >/dev/kvm; } && mount --bind /dev/null /dev/kvm'
	refused "/dev/kvm speaks version -1"
}

@test "a kernel that is missing, empty, truncated, or none" {
	need_kvm
	own_guest
	rm "$T/guest/kernel"
	refused 'kernel.*runsm guest build'
	: >"$T/guest/kernel"
	manifest_fits
	refused "kernel '$T/guest/kernel'.*neither ELF nor bzImage.*runsm guest build"
	cp "$RUNSM_TEST_GUEST_DIR/kernel" "$T/guest/kernel"
	truncate -s -4000000 "$T/guest/kernel"
	manifest_fits
	refused "kernel '$T/guest/kernel'.*truncated.*runsm guest build"
	truncate -s 1000 "$T/guest/kernel"
	manifest_fits
	refused "kernel '$T/guest/kernel'.*(truncated|program header).*runsm guest build"
	head -c 4000000 /dev/urandom >"$T/guest/kernel"
	manifest_fits
	refused "kernel '$T/guest/kernel'.*neither ELF nor bzImage"
	rm "$T/guest/kernel"
	mkdir "$T/guest/kernel"
	manifest_fits
	refused 'kernel is missing.*runsm guest build'
}

@test "a kernel of another architecture" {
	need_kvm
	own_guest
	poke 18 '\267' # e_machine: AArch64
	refused "kernel '$T/guest/kernel'.*another architecture.*183"
	poke 18 '\003' # i386
	refused 'another architecture'
	head -c 4000000 /dev/zero >"$T/guest/kernel"
	poke 56 'ARM\144'
	manifest_fits
	refused 'another architecture \(arm64\)'
}

@test "an initramfs that does not fit into the guest's memory" {
	need_kvm
	own_guest
	cfg '.linux.resources.memory.limit = 134217728'
	truncate -s 200M "$T/guest/initrd"
	manifest_fits
	refused 'too small for an initramfs of 200 MiB.*linux\.resources\.memory\.limit'
	cfg '.linux.resources.memory.limit = 2147483648'
	truncate -s 1G "$T/guest/initrd"
	manifest_fits
	refused 'initramfs of 1024 MiB is too big'
	rm "$T/guest/initrd"
	refused 'initrd.*runsm guest build'
}

@test "more memory than a VM can have" {
	need_kvm
	local bytes
	for bytes in 9223372036854767616 4398048608256; do
		cfg ".linux.resources.memory.limit = $bytes"
		refused 'linux\.resources\.memory\.limit.*MiB'
	done
	cfg '.linux.resources.memory.limit = 1073741824'
	WORLD='usable; ulimit -v 500000'
	refused 'guest memory of 1024 MiB: Cannot allocate memory.*linux\.resources\.memory\.limit'
}
