#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# exec: another process in a running container, as runc has it

load helpers

@test "exec runs in the container with its environment, directory and user" {
	bundle
	cfg '.process.env += ["FROM=config"] | .process.cwd = "/home/tester" |
		.process.user = {uid: 1000, gid: 1000, additionalGids: [2000]}'
	ctr_up
	in_ctr sh -c 'echo $FROM; pwd; id -u; id -g; id -G; tr "\0" " " </proc/1/cmdline; echo'
	is "config
/home/tester
1000
1000
1000 2000
sleep 1000 " "$output"

	# options win over config.json; what follows the id is the program's, options or not
	in_ctr echo -n --user x
	is "--user x" "$output"
	rtx 0 exec --env A=1 --env "B=two words" --env FROM=cmdline --cwd /tmp --user 0:5 "$ID" \
		sh -c 'echo $A $B $FROM; pwd; id -u; id -g; echo $HOME'
	is "1 two words cmdline
/tmp
0
5
/root" "$output"
	rtx 0 exec --user 4242 "$ID" sh -c 'id -u; id -g'
	is "4242
1000" "$output"

	# the process is in the container's namespaces
	is "$(rt exec "$ID" readlink /proc/1/ns/pid)" "$(rt exec "$ID" readlink /proc/self/ns/pid)"
	is "$(rt exec "$ID" readlink /proc/1/ns/mnt)" "$(rt exec "$ID" readlink /proc/self/ns/mnt)"
}

@test "exec exits with the status of its process" {
	bundle
	ctr_up
	local code
	for code in 0 1 2 3 63 64 100 124 125 126 127 128 129 130 137 143 200 254 255; do
		rtx $code exec "$ID" sh -c "exit $code"
	done
	rtx 137 exec "$ID" sh -c 'kill -KILL $$'
	rtx 143 exec "$ID" sh -c 'kill -TERM $$'
	rtx 134 exec "$ID" sh -c 'kill -ABRT $$'
	rtx 139 exec "$ID" sh -c 'kill -SEGV $$'
	is running "$(ctr_status)"
}

@test "exec of a program that is missing or not executable says so" {
	bundle
	echo text >"$BUNDLE/rootfs/plain"
	ctr_up
	fails 255 'exec: "nonesuch": executable file not found in \$PATH' exec "$ID" nonesuch
	fails 255 'exec: "/bin/nonesuch": stat /bin/nonesuch: no such file or directory' \
		exec "$ID" /bin/nonesuch
	fails 255 'exec: "/plain": permission denied' exec "$ID" /plain
	fails 255 'exec: "/bin": permission denied' exec "$ID" /bin
	in_ctr true
}

@test "exec --process takes everything from the file" {
	bundle
	ctr_up
	cat >"$T/process.json" <<-'JSON'
	{ "args": ["sh", "-c", "pwd; id -u; id -g; id -G; echo $X; ulimit -n; grep NoNew /proc/self/status; grep CapEff /proc/self/status"],
	  "env": ["PATH=/bin", "X=from file"], "cwd": "/home",
	  "user": {"uid": 1000, "gid": 7, "additionalGids": [8, 9]},
	  "noNewPrivileges": true,
	  "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 333, "hard": 444}],
	  "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"],
		"inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]} }
	JSON
	rtx 0 exec --process "$T/process.json" "$ID"
	is "/home
1000
7
7 8 9
from file
333
NoNewPrivs:	1
CapEff:	0000000000000020" "$output"

	echo '{"args": [' >"$T/process.json"
	fails 255 '.' exec --process "$T/process.json" "$ID"
	fails 255 'no such file' exec --process "$T/none.json" "$ID"
	in_ctr true
}

@test "exec --detach returns at once; the process goes on and its pid is written" {
	bundle
	ctr_up
	rt exec --detach --pid-file "$T/pid" "$ID" sh -c 'echo on; touch /on; sleep 1000' \
		</dev/null >"$T/execout" 2>&1
	kill -0 "$(cat "$T/pid")"
	wait_for 20 grep -q on "$T/execout"
	wait_for 20 test -e "$BUNDLE/rootfs/on"
	# the process that the pid stands for ends with the container
	rt kill "$ID" KILL
	wait_status stopped
	wait_for 10 eval '! kill -0 "$(cat "$T/pid")" 2>/dev/null'
}

@test "the pid of a detached exec has the exit status of its process, and takes its signals" {
	bundle
	ctr_up
	run -0 python3 "$SPEC_DIR/subreaper.py" "$T/pid" \
		"$RUNTIME" --root "$ROOT" exec --detach --pid-file "$T/pid" "$ID" sh -c 'sleep 0.3; exit 33' 3>&-
	is 33 "$output"
	run -0 python3 "$SPEC_DIR/subreaper.py" --signal TERM "$T/pid" \
		"$RUNTIME" --root "$ROOT" exec --detach --pid-file "$T/pid" "$ID" sh -c \
		'trap "exit 44" TERM; while :; do sleep 0.1; done' 3>&-
	is 44 "$output"
	is running "$(ctr_status)"
}

@test "exec in a container that does not run is refused" {
	fails 255 "container does not exist" exec "$ID" true
	bundle
	ctr_up
	rt pause "$ID"
	fails 255 "cannot exec in a paused container" exec "$ID" true
	rt resume "$ID"
	in_ctr true
	rt kill "$ID" KILL
	wait_status stopped
	fails 255 "cannot exec in a stopped container" exec "$ID" true
}

@test "exec works in a created container" {
	bundle
	ctr_create
	in_ctr echo hello
	is hello "$output"
	is created "$(ctr_status)"
	rt start "$ID"
	is running "$(ctr_status)"
}

@test "exec needs a program, or a process file" {
	bundle
	ctr_up
	run ! rt exec "$ID" </dev/null
	in_ctr true
}

@test "ten processes run side by side" {
	bundle
	ctr_up
	local i pids=()
	for i in 0 1 2 3 4 5 6 7 8 9; do
		rt exec "$ID" sh -c "sleep 0.5; head -c 100000 /dev/zero | tr '\\0' $i; exit $i" \
			</dev/null >"$T/o$i" 2>&1 &
		pids+=($!)
	done
	for i in 0 1 2 3 4 5 6 7 8 9; do
		local rc=0
		wait "${pids[$i]}" || rc=$?
		is $i $rc
		is 100000 "$(tr -dc $i <"$T/o$i" | wc -c)"
	done
}

@test "exec forwards the signals that it gets" {
	bundle
	ctr_up
	"$RUNTIME" --root "$ROOT" exec "$ID" sh -c \
		'trap "echo got; exit 5" TERM; echo ready; while :; do sleep 0.2; done' \
		</dev/null >"$T/o" 2>&1 3>&- &
	local pid=$! rc=0
	wait_for 20 grep -q ready "$T/o"
	kill -TERM $pid
	wait $pid || rc=$?
	is 5 $rc
	has got "$(cat "$T/o")"
}

# A process whose caller is gone has nobody to report to.
@test "a foreground exec that is killed takes its process along" {
	runsm_only
	bundle
	ctr_up
	"$RUNTIME" --root "$ROOT" exec "$ID" sleep 4321 </dev/null >/dev/null 2>&1 3>&- &
	local pid=$!
	wait_for 20 eval 'rt ps "$ID" | grep -q "sleep 4321"'
	kill -9 $pid
	wait_for 10 eval '! rt ps "$ID" | grep -q "sleep 4321"'
	is running "$(ctr_status)"
}

# A container that may make cgroups of its own, with one of the name "sub"
with_cgroup() {
	bundle
	cfg '.mounts |= map(if .type == "cgroup" then .options -= ["ro"] else . end)'
	ctr_up
	rtx 0 exec "$ID" mkdir -p /sys/fs/cgroup/sub/below
}

@test "exec --cgroup runs the process in a cgroup below the container's" {
	runsm_only # runc has the host's cgroups, of either version
	with_cgroup
	rtx 0 exec --cgroup /sub "$ID" cat /proc/self/cgroup
	is 0::/sub "$output"
	rtx 0 exec --cgroup ./sub/x/../below// "$ID" cat /proc/self/cgroup
	is 0::/sub/below "$output"
	rtx 0 exec --cgroup / "$ID" cat /proc/self/cgroup
	is 0::/ "$output"
	rt exec --detach --cgroup sub "$ID" sleep 1003 </dev/null >/dev/null 2>&1
	rtx 0 exec "$ID" sh -c 'cat /sys/fs/cgroup/sub/cgroup.procs | wc -l'
	is 1 "$output"
	rtx 0 ps "$ID"
	is 2 "$(sed 1d <<<"$output" | wc -l)"
}

@test "exec --cgroup: what is no cgroup below the container's is refused" {
	runsm_only
	with_cgroup
	fails 255 'exec failed: .. is not a sub cgroup path' exec --cgroup .. "$ID" true
	fails 255 'sub/../../x is not a sub cgroup path' exec --cgroup sub/../../x "$ID" true
	fails 255 'to cgroups: /nonexistent/cgroup.procs: no such file or directory' \
		exec --cgroup nonexistent "$ID" true
	fails 255 'cgroup.procs: not a directory' exec --cgroup cgroup.procs "$ID" true
	fails 255 'unknown controller cpu ' exec --cgroup cpu,memory:/ "$ID" true
	fails 255 'invalid --cgroup argument: a:b:c' exec --cgroup a:b:c "$ID" true
	fails 255 'sub .missing <controller>: prefix.' exec --cgroup sub --cgroup sub "$ID" true
}

@test "exec follows init into its cgroup where the container's may have no processes" {
	runsm_only
	with_cgroup
	rtx 0 exec "$ID" sh -ec 'cd /sys/fs/cgroup; mkdir init
		echo 1 >init/cgroup.procs; echo $$ >init/cgroup.procs; echo +pids >cgroup.subtree_control'
	rtx 0 exec "$ID" cat /proc/self/cgroup
	is 0::/init "$output"
	rtx 0 exec --cgroup sub "$ID" cat /proc/self/cgroup
	is 0::/sub "$output"
	fails 255 'to cgroups: /cgroup.procs: device or resource busy' exec --cgroup / "$ID" true
}
