#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# bench/run.sh: how long `runsm run /bin/true` takes, from a Debian root file system, against
#
#   bare QEMU	the same kernel, initramfs, board and command line, without runsm's devices, to an
#		init that reboots at once. What runsm adds is all above 1.
#   runc	for the record
#
# The command line is taken from the QEMU of a running container, so that both are the same.
#	ROUNDS=15	turns; the first is not counted

# shellcheck source=bench/common.bash
source "$(dirname "$0")/common.bash"

# The initramfs of the guest image with an init that reboots: a later archive overrides an earlier.
bare_initrd() {
	mkdir "$W/init"
	cp "$RUNSM_BUILD/bench/bootinit" "$W/init/init"
	cp "$RUNSM_GUEST_DIR/initrd" "$W/initrd"
	truncate -s %4 "$W/initrd"
	(cd "$W/init" && echo init | cpio --quiet -o -H newc) >>"$W/initrd"
}

# BARE: the QEMU command of a container, less its sockets
bare_command() {
	local pid arg skip=0 argv=()
	bundle_runs sleep 1000
	"$RUNTIME" --root "$W/root" create --bundle "$W/bundle" probe </dev/null >"$W/probe.log" 2>&1 ||
		die "$(cat "$W/probe.log")"
	pid=$("$RUNTIME" --root "$W/root" state probe | jq .pid)
	mapfile -d '' argv <"/proc/$(pgrep -P "$pid" -f qemu)/cmdline"
	"$RUNTIME" --root "$W/root" delete --force probe
	bundle_runs /bin/true
	BARE=("${argv[0]}")
	set -- "${argv[@]:1}"
	while [ $# -gt 0 ]; do
		case $1 in
		-chardev | -device | -mon | -serial | -netdev) shift ;;
		-initrd)
			BARE+=(-initrd "$W/initrd")
			shift
			;;
		*) BARE+=("$1") ;;
		esac
		shift
	done
	BARE+=(-serial null)
}

runsm_run() { "$RUNTIME" --root "$W/root" run --bundle "$W/bundle" "bench-$$"; }
runc_run() { runc --root "$W/runc" run --bundle "$W/bundle" "bench-$$"; }

bench_setup
bare_initrd
bare_command
for ((i = 0; i <= ROUNDS; i++)); do
	bare=$(timed "${BARE[@]}")
	runsm=$(timed runsm_run)
	runc=$(timed runc_run)
	[ $i = 0 ] || echo "$bare $runsm $runc" >>"$W/times"
done

read -r b1 b2 b3 < <(cut -d' ' -f1 "$W/times" | quartiles)
read -r s1 s2 s3 < <(cut -d' ' -f2 "$W/times" | quartiles)
read -r c1 c2 c3 < <(cut -d' ' -f3 "$W/times" | quartiles)
read -r r1 r2 r3 < <(awk '{ print $2 / $1 }' "$W/times" | quartiles)
printf -v ratio %.2f "$r2"
row "bare QEMU to init, ms" "$b2" "$b1–$b3" "" "median of $ROUNDS, quartiles"
row "runsm run /bin/true, ms" "$s2" "$s1–$s3" "" ""
row "runc run /bin/true, ms" "$c2" "$c1–$c3" "" ""
row "runsm run / bare QEMU" "$ratio" "$(printf '%.2f–%.2f' "$r1" "$r3")" "<= 1.3" "${RUNSM_ACCEL}"
