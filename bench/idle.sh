#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# bench/idle.sh [KERNEL]: how much of a CPU a VM takes that does nothing, in percent:
#
#	container	runsm-vmm with a container that sleeps, agent and all
#	bare		the kvm machine with an init that sleeps
#	QEMU		-M microvm -accel kvm, the same kernel, command line and init
#
# All run at once, so that they see the same host; run time is the scheduler's own account, in ns.
# Needs a usable KVM: natively, or in the lab, contrib/kvm-lab run -- bench/idle.sh [KERNEL]
#
#	IDLE_SECONDS=30	how long is measured, after as long to settle
#	RUNSM_GUEST_DIR	guest image; KERNEL instead of its own is for bare and QEMU

export RUNSM_ACCEL=kvm
# shellcheck source=bench/common.bash
source "$(dirname "$0")/common.bash"
SECS=${IDLE_SECONDS:-30}
PIDS=()

# run_ns PID: run time of all its threads
run_ns() { awk '{ sum += $1 } END { printf "%.0f\n", sum }' /proc/"$1"/task/*/schedstat; }

start_container() {
	bundle_runs sleep 100000
	"$RUNTIME" --root "$W/root" create --bundle "$W/bundle" idle </dev/null >"$W/log" 2>&1 ||
		die "$(cat "$W/log")"
	"$RUNTIME" --root "$W/root" start idle
	PIDS+=("$("$RUNTIME" --root "$W/root" state idle | jq .pid)")
}

start_bare() {
	"$RUNSM_BUILD/bench/kvm_boot" kvm "$KERNEL" "$W/bare" 256 1 "-- idle" </dev/null >"$W/bare.log" 2>&1 &
	PIDS+=($!)
}

start_qemu() {
	qemu-system-x86_64 -M microvm,acpi=on,pit=off,pic=off,rtc=off -accel kvm -cpu max -m 256 -smp 1 \
		-nodefaults -no-user-config -no-reboot -display none -serial stdio -kernel "$KERNEL" \
		-initrd "$W/bare" -append "$("$RUNSM_BUILD/bench/kvm_boot" cmdline) -- idle" \
		</dev/null >"$W/qemu.log" 2>&1 &
	PIDS+=($!)
}

bench_setup
KERNEL=${1:-$RUNSM_GUEST_DIR/kernel}
mkdir "$W/init"
cp "$RUNSM_BUILD/bench/bootinit" "$W/init/init"
(cd "$W/init" && echo init | cpio --quiet -o -H newc) >"$W/bare"
trap 'kill "${PIDS[@]:1}" 2>/dev/null; wait; bench_cleanup' EXIT
start_container
start_bare
start_qemu
sleep "$SECS"
for pid in "${PIDS[@]}"; do
	before+=("$(run_ns "$pid")")
done
sleep "$SECS"
for i in 0 1 2; do
	percent[i]=$(awk -v a="${before[i]}" -v b="$(run_ns "${PIDS[i]}")" -v s="$SECS" \
		'BEGIN { printf "%.3f", (b - a) / s / 1e7 }')
done
row "idle container, % of a CPU" "${percent[0]}" "" "< 0.5" "over $SECS s, ${KERNEL##*/}"
row "idle bare guest, % of a CPU" "${percent[1]}" "" "" "runsm's kvm machine, init only"
row "idle bare guest, % of a CPU" "${percent[2]}" "" "" "qemu -M microvm -accel kvm, the same"
