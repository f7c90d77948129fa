#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# ps, as runc has it

load helpers

@test "ps lists the processes of the container, and no others" {
	bundle
	sh_args 'sleep 1001 & sleep 1002 & echo up; wait'
	ctr_up
	wait_for 20 grep -q up "$T/out"
	rtx 0 ps "$ID"
	matches 'UID +PID +PPID .*CMD' "${lines[0]}"
	is 4 "${#lines[@]}"
	matches 'sleep 1001' "$output"
	matches 'sleep 1002' "$output"
	hasnt 'bats|agent|kthread' "$output"

	rt exec --detach "$ID" sleep 1003 </dev/null >/dev/null 2>&1
	rtx 0 ps "$ID"
	matches 'sleep 1003' "$output"
	fails 1 'invalid format option' ps --format yaml "$ID"
}

@test "ps in JSON lists pids of the host: with runsm the one that stands for the container" {
	bundle
	ctr_up
	rtx 0 ps --format json "$ID"
	is "[$(ctr_pid)]" "$output"
	rt pause "$ID"
	rtx 0 ps -f json "$ID"
	is "[$(ctr_pid)]" "$output"
	rt resume "$ID"
}

@test "ps of a paused container works, of an unknown one does not" {
	fails 1 "container does not exist" ps "$ID"
	bundle
	ctr_up
	rt pause "$ID"
	rtx 0 ps "$ID"
	matches 'sleep 1000' "$output"
	rt resume "$ID"
}

@test "ps has the columns of ps(1), and refuses the options it does not have by name" {
	bundle
	ctr_up
	rtx 0 ps "$ID"
	matches '^UID +PID +PPID +C +STIME +TTY +TIME +CMD$' "${lines[0]}"
	matches '^root +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]{2}:[0-9]{2} +\? +00:00:[0-9]{2} sleep 1000$' \
		"${lines[1]}"
	rtx 0 ps "$ID" -e -x
	matches '^ +PID +TTY +STAT +TIME +COMMAND$' "${lines[0]}"
	is 2 "${#lines[@]}"
	rtx 0 ps "$ID" aux
	matches '^USER +PID +%CPU +%MEM +VSZ +RSS +TTY +STAT +START +TIME +COMMAND$' "${lines[0]}"
	is 2 "${#lines[@]}"
	runsm_only # ps(1) has these
	fails 1 "ps: option '-l' is not supported" ps "$ID" -el
	fails 1 "ps: option '--forest' is not supported" ps "$ID" --forest
	fails 1 "ps: column 'wchan' is not supported" ps "$ID" -eo pid,wchan
}

# What may differ is left out: pids are those of the VM here, those of the container there.
@test "ps says what ps(1) in the container says" {
	local columns=user,uid,comm,s,stat,tty,nlwp,nice,vsz,args ps file
	runsm_only # runc's are processes of the host
	ps=$(command -v ps)
	bundle debian
	for file in "$ps" $(ldd "$ps" | awk '/=> \// { print $3 }'); do
		[ -e "$BUNDLE/rootfs$file" ] || cp -L --parents "$file" "$BUNDLE/rootfs"
	done
	sh_args 'nice -n 5 sleep 1001 & setsid sleep 1002 & exec -a other sleep 1003'
	cfg '.process.args[0] = "/bin/bash"'
	ctr_up
	wait_for 20 eval '[ "$(rt ps "$ID" -o s= -o comm= | sort -u)" = "S sleep" ]'
	for opts in "-eo $columns" "axo args,cmd" "-e -o pgid= -o args"; do
		# shellcheck disable=SC2086 # several words
		rtx 0 ps "$ID" $opts
		here=$output
		# shellcheck disable=SC2086
		rtx 0 exec "$ID" ps $opts
		is "$(grep -v 'ps ' <<<"$output" | sed '1!s/^ *[0-9]* \(sleep\|other\)/\1/' | sort)" \
			"$(sed '1!s/^ *[0-9]* \(sleep\|other\)/\1/' <<<"$here" | sort)"
	done
	for opts in -ef aux; do
		rtx 0 ps "$ID" $opts
		here=${lines[0]}
		rtx 0 exec "$ID" ps $opts
		is "${lines[0]}" "$here"
	done
}
