#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# bench/boot.sh [KERNEL]: how long runsm-vmm takes from its exec until the guest's agent answers, on
# the kvm machine, against `qemu -M microvm -accel kvm` with the same kernel, initramfs, command line,
# and the same devices, reached over vhost-user: the tcg machine with another accelerator. Needs a
# usable KVM: natively, or in the lab,
#
#	contrib/kvm-lab run -- bench/boot.sh [KERNEL]
#
#	BOOT_ROUNDS=5	turns; the first is not counted
#	RUNSM_GUEST_DIR	guest image, whose kernel is booted unless KERNEL is given

# shellcheck source=bench/common.bash
source "$(dirname "$0")/common.bash"
ROUNDS=${BOOT_ROUNDS:-5}
GUEST=${RUNSM_GUEST_DIR:-/var/lib/runsm/guest}
KERNEL=${1:-$GUEST/kernel}
# as little of a board as the kernel boots with
BOARD=${BOOT_QEMU_BOARD:-microvm,acpi=on,pit=off,pic=off,rtc=off,isa-serial=on}

[ -r "$KERNEL" ] || die "no kernel '$KERNEL'"
W=$(mktemp -d)
trap 'rm -rf "$W"' EXIT

# qemu_wrapper FILE: QEMU with what the tcg machine asks for, but for accelerator, board and command line
qemu_wrapper() {
	cat >"$1" <<-END
		#!/bin/bash
		args=()
		while [ \$# -gt 0 ]; do
			case \$1 in
			-accel) args+=(-accel kvm); shift ;;
			-M | -machine)
				args+=(-M "$BOARD\$(grep -o ',memory-backend=[^,]*' <<<",\$2")")
				shift ;;
			-append) args+=(-append "$("$RUNSM_BUILD/bench/kvm_boot" cmdline)"); shift ;;
			*) args+=("\$1") ;;
			esac
			shift
		done
		exec $(command -v qemu-system-x86_64) "\${args[@]}"
	END
	chmod +x "$1"
}

ready() { "$RUNSM_BUILD/bench/vmm_ready" "$1" "$W/kernel" "$W/initrd" 256 1 "$W/qemu"; }

# Not from the lab's shared file tree, whose cache is no part of this.
cp "$KERNEL" "$W/kernel"
# Debian's initramfs has modules, which a kernel that has everything built in leaves alone.
cp "$GUEST/initrd" "$W/initrd"
qemu_wrapper "$W/qemu"
for ((i = 0; i <= ROUNDS; i++)); do
	a=$(ready kvm)
	b=$(ready tcg)
	[ "$i" -eq 0 ] || echo "$a $b" >>"$W/times"
done
echo "exec to agent ready, ms, $KERNEL: runsm-vmm's kvm machine, QEMU -accel kvm, ratio"
awk '{ printf "%s %s %.2f\n", $1, $2, $1 / $2 }' "$W/times"
awk '{ print $1 / $2 }' "$W/times" | sort -n | awk '{ v[NR] = $1 } END {
	printf "median ratio %.2f (%.2f … %.2f), target 0.6\n", v[int((NR + 1) / 2)], v[1], v[NR] }'
