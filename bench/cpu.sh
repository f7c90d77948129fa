#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# bench/cpu.sh: CPU time that a container's life and an exec cost on the host, outside the guest and
# QEMU, against runc, in turns. What is counted where: bench/cpu.c.
#	ROUNDS=15	turns; the first is not counted

# shellcheck source=bench/common.bash
source "$(dirname "$0")/common.bash"

bench_setup
bundle_runs sleep 1000
for ((i = 0; i <= ROUNDS; i++)); do
	runsm=$("$RUNSM_BUILD/bench/cpu" "$RUNTIME" "$W/root" "$W/bundle")
	runc=$("$RUNSM_BUILD/bench/cpu" runc "$W/runc" "$W/bundle")
	[ $i = 0 ] || echo "$runsm $runc" >>"$W/times"
done

# life COLUMN: create + start + delete + the process that stands for the container
life() { awk -v c="$1" '{ print $c + $(c + 1) + $(c + 2) + $(c + 3) }' "$W/times" | quartiles; }
column() { awk -v c="$1" '{ print $c }' "$W/times" | quartiles; }
# show NAME Q1 Q2 Q3 [TARGET]
show() { row "$1" "$(printf %.2f "$3")" "$(printf '%.2f–%.2f' "$2" "$4")" "${5-}" "${6-}"; }

# shellcheck disable=SC2046 # three words each
{
	show "runsm create+start+delete, CPU ms" $(life 1) "" "median of $ROUNDS, quartiles"
	i=0
	for part in create start delete runsm-vmm; do
		i=$((i + 1))
		show "  $part" $(column $i)
	done
	show "runc create+start+delete, CPU ms" $(life 6)
	show "runsm / runc, a container's life" \
		$(awk '{ print ($1 + $2 + $3 + $4) / ($6 + $7 + $8 + $9) }' "$W/times" | quartiles) "<= 1"
	show "runsm exec, CPU ms" $(column 5)
	show "runc exec, CPU ms" $(column 10)
	show "runsm / runc, exec" $(awk '{ print $5 / $10 }' "$W/times" | quartiles) "<= 1"
}
