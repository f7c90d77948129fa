#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# bench/memory.sh: what runsm-vmm itself takes, in PSS, without QEMU and without the guest's memory,
# after start and after the guest has worked on many files.

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

bench_setup
bundle_runs sleep 1000
rt() { "$RUNTIME" --root "$W/root" "$@" </dev/null; }
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
