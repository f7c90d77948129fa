#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# bench/boot.sh [KERNEL]: how long the kvm machine takes from exec to the guest's init and its reboot,
# against `qemu -M microvm -accel kvm` with the same kernel, initramfs and number of devices' worth of
# nothing: neither has any but its own. Needs a usable KVM: natively, or in the lab,
#
#	contrib/kvm-lab run -- bench/boot.sh [KERNEL]
#
#	ROUNDS=5	turns; the first is not counted
#	RUNSM_GUEST_DIR	guest image whose kernel is booted, unless KERNEL is given

# shellcheck source=bench/common.bash
source "$(dirname "$0")/common.bash"
ROUNDS=${BOOT_ROUNDS:-5}
KERNEL=${1:-${RUNSM_GUEST_DIR:-/var/lib/runsm/guest}/kernel}
CMDLINE=$("$RUNSM_BUILD/bench/kvm_boot" cmdline)

[ -r "$KERNEL" ] || die "no kernel '$KERNEL'"
W=$(mktemp -d)
trap 'rm -rf "$W"' EXIT
mkdir "$W/init"
cp "$RUNSM_BUILD/bench/bootinit" "$W/init/init"
(cd "$W/init" && echo init | cpio --quiet -o -H newc) >"$W/initrd"

# Not from the lab's shared file tree, whose cache is no part of this.
NAME=${KERNEL##*/}
cp "$KERNEL" "$W/kernel"
KERNEL=$W/kernel

ours() { "$RUNSM_BUILD/bench/kvm_boot" kvm "$KERNEL" "$W/initrd" 128 1; }
qemu() {
	qemu-system-x86_64 -M microvm -accel kvm -cpu max \
		-m 128 -smp 1 -nodefaults -no-user-config -no-reboot -display none -serial stdio \
		-kernel "$KERNEL" -initrd "$W/initrd" -append "$CMDLINE"
}

for ((i = 0; i <= ROUNDS; i++)); do
	a=$(timed ours)
	b=$(timed qemu)
	[ "$i" -eq 0 ] || echo "$a $b" >>"$W/times"
done
echo "boot to init and reboot, $NAME: runsm-vmm's kvm machine, QEMU -accel kvm, ratio"
awk '{ print $1, $2, $1 / $2 }' "$W/times"
awk '{ print $1 / $2 }' "$W/times" | sort -n | awk '{ v[NR] = $1 } END {
	printf "median ratio %.2f (%.2f … %.2f), target 0.6\n", v[int((NR + 1) / 2)], v[1], v[NR] }'
