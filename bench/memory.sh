#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# bench/memory.sh: what runsm-vmm itself takes, in PSS, without QEMU and without the guest's memory,
# after start and after the guest has worked on many files.
#
# With RUNSM_ACCEL=kvm (natively or in the lab, contrib/kvm-lab run -- env RUNSM_ACCEL=kvm
# bench/memory.sh) the container has 128 MiB and a network interface on a tap, and QEMU is measured
# beside it: -M microvm -accel kvm with as much memory, a network device, and an init that sleeps.
# Of both the mapping that is the guest's RAM is left out.

# shellcheck source=bench/common.bash
source "$(dirname "$0")/common.bash"

# pss PID PATTERN: KiB of the mappings whose name matches, or with "!" before it, of the others
pss() {
	awk -v re="${2#!}" -v not="$([[ $2 == !* ]] && echo 1)" '
		/^[0-9a-f]+-[0-9a-f]+ / { name = NF >= 6 ? $6 : ""; on = (name ~ re); if (not) on = !on }
		$1 == "Pss:" && on { sum += $2 }
		END { print sum + 0 }' "/proc/$1/smaps"
}

report() {
	local own
	own=$(pss "$pid" '!memfd:')
	row "runsm-vmm PSS $1, MiB" "$(awk -v k="$own" 'BEGIN { printf "%.1f", k / 1024 }')" "" \
		"$2" "guest memory it has mapped: $(pss "$pid" memfd:) KiB"
}

# beyond_ram PID [FILE]: KiB of all mappings but that of MIB MiB, and that of the file
beyond_ram() {
	awk -v ram=$((MIB * 1024)) -v file="${2:-none}" '
		/^[0-9a-f]+-[0-9a-f]+ / { other = $6 == file }
		$1 == "Size:" { on = $2 < ram && !other }
		$1 == "Pss:" && on { sum += $2 }
		END { print sum + 0 }' "/proc/$1/smaps"
}

# report_kvm NAME TARGET PID [FILE]
report_kvm() {
	row "$1" "$(awk -v k="$(beyond_ram "${@:3}")" 'BEGIN { printf "%.1f", k / 1024 }')" "" "$2" \
		"beyond the guest's $MIB MiB"
}

# a namespace with a tap, up: $NETNS
make_tap() {
	unshare -n sleep 100000 &
	PIDS+=($!)
	NETNS=/proc/$!/ns/net
	while [ "$(readlink "$NETNS")" = "$(readlink /proc/self/ns/net)" ]; do
		sleep 0.1
	done
	nsenter --net="$NETNS" ip tuntap add dev tap0 mode tap
	nsenter --net="$NETNS" ip link set tap0 up
}

with_nic() {
	make_tap
	jq --arg p "$NETNS" --argjson m $((MIB << 20)) '.annotations["io.runsm.tap"] = "tap0" |
		.linux.namespaces |= map(if .type == "network" then .path = $p else . end) |
		.linux.resources.memory.limit = $m' "$W/bundle/config.json" >"$W/config.json"
	mv "$W/config.json" "$W/bundle/config.json"
}

start_qemu() {
	mkdir "$W/init"
	cp "$RUNSM_BUILD/bench/bootinit" "$W/init/init"
	(cd "$W/init" && echo init | cpio --quiet -o -H newc) >"$W/bare"
	make_tap
	nsenter --net="$NETNS" qemu-system-x86_64 -M microvm,acpi=on,pit=off,pic=off,rtc=off -accel kvm \
		-cpu max -m "$MIB" -smp 1 -nodefaults -no-user-config -no-reboot -display none -serial stdio \
		-kernel "$RUNSM_GUEST_DIR/kernel" -initrd "$W/bare" \
		-netdev tap,id=n,ifname=tap0,script=no,downscript=no -device virtio-net-device,netdev=n \
		-append "$("$RUNSM_BUILD/bench/kvm_boot" cmdline) -- idle" </dev/null >"$W/qemu.log" 2>&1 &
	PIDS+=($!)
	QEMU=$!
}

bench_kvm() {
	local pid
	bench_setup
	PIDS=()
	trap 'kill "${PIDS[@]}" 2>/dev/null; bench_cleanup' EXIT
	bundle_runs sleep 100000
	with_nic
	start_qemu
	rt create --bundle "$W/bundle" mem >"$W/log" 2>&1 || die "$(cat "$W/log")"
	rt start mem
	pid=$(rt state mem | jq .pid)
	report_kvm "runsm-vmm PSS, MiB" "<= 5" "$pid"
	rt exec mem sh -c 'find / -xdev -newermt 2100-01-01 2>/dev/null; :'
	report_kvm "runsm-vmm PSS after walking the root, MiB" "<= 5" "$pid"
	sleep "${QEMU_SECONDS:-30}"
	kill -0 "$QEMU" || die "$(tail -n 5 "$W/qemu.log")"
	report_kvm "QEMU PSS, MiB" "" "$QEMU"
	report_kvm "QEMU PSS without the kernel's file, MiB" "" "$QEMU" "$RUNSM_GUEST_DIR/kernel"
}

rt() { "$RUNTIME" --root "$W/root" "$@" </dev/null; }

MIB=128
if [ "$RUNSM_ACCEL" = kvm ]; then
	bench_kvm
	exit
fi

bench_setup
bundle_runs sleep 1000
rt create --bundle "$W/bundle" mem >"$W/log" 2>&1 || die "$(cat "$W/log")"
rt start mem
pid=$(rt state mem | jq .pid)
[[ $(tr '\0' ' ' <"/proc/$pid/cmdline") == *runsm-vmm* ]] || die "pid $pid is not runsm-vmm"
report "after start" "<= 8"
rt exec mem sh -c 'find / -xdev -newermt 2100-01-01 2>/dev/null; :'
rt exec mem sh -c 'for i in $(seq 2000); do echo $i >/tmp/$i; done; tar -cf - /usr/share | cat >/dev/null'
report "after walking the root file system" "<= 8"
qemu=$(pgrep -P "$pid" -f qemu || true)
[ -z "$qemu" ] || row "QEMU PSS without guest memory, MiB" \
	"$(awk -v k="$(pss "$qemu" '!memfd:')" 'BEGIN { printf "%.1f", k / 1024 }')" "" "" "for the record"
