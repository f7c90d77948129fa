#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: config.md, POSIX-platform Hooks; runtime.md, Lifecycle
# Hooks: at the right moment, with the right state on stdin, and the consequences of failure.

load helpers

setup() {
	ctr_setup "$BATS_TEST_TMPDIR"
	bundle
	LOG=$T/hooks
	KINDS=(prestart createRuntime createContainer poststart poststop)
}

# hook KIND SCRIPT [JQ-OBJECT]: one more hook, a shell script; the object is added to it
hook() {
	cfg '.hooks[$kind] += [{path: "/bin/sh", args: ["sh", "-c", $script]} + '"${3:-{\}}"']' \
		--arg kind "$1" --arg script "$2"
}

# Each kind writes a line "KIND status" to $LOG, and its state to $LOG.KIND.
record_all() {
	local kind
	for kind in "${KINDS[@]}"; do
		hook "$kind" "cat >$LOG.$kind; echo $kind >>$LOG"
	done
	hook startContainer 'cat >/state.startContainer'
}

state_of() { jq -r "$2" "$LOG.$1"; }

@test "each kind runs at its moment: create, start, delete" {
	record_all
	# runc runs the poststart hooks in create
	ctr_create
	is "prestart createRuntime createContainer" "$(grep -v poststart "$LOG" | xargs)"
	if is_runsm; then hasnt poststart "$(cat "$LOG")"; fi
	[ ! -e "$BUNDLE/rootfs/state.startContainer" ]
	rt start "$ID"
	wait_for 10 test -s "$BUNDLE/rootfs/state.startContainer"
	has poststart "$(cat "$LOG")"
	hasnt poststop "$(cat "$LOG")"
	rt kill "$ID" KILL
	wait_status stopped
	hasnt poststop "$(cat "$LOG")"
	rt delete "$ID"
	is "prestart createRuntime createContainer poststart poststop" "$(xargs <"$LOG")"
}

# bats test_tags=once
@test "run and delete --force run them too" {
	record_all
	args true
	ctr_run 0
	is "prestart createRuntime createContainer poststart poststop" "$(xargs <"$LOG")"
	[ -s "$BUNDLE/rootfs/state.startContainer" ]
	rm "$LOG" "$BUNDLE/rootfs/state.startContainer"
	args sleep 1000
	rt run -d --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>&1
	rt delete --force "$ID"
	is "prestart createRuntime createContainer poststart poststop" "$(xargs <"$LOG")"
}

@test "the state on stdin: id, status, bundle, annotations, pid, version" {
	local kind pid
	record_all
	cfg '.annotations = {"org.example.a": "1", "b": "two words"}'
	ctr_create
	pid=$(ctr_pid)
	rt start "$ID"
	rt delete --force "$ID"
	mv "$BUNDLE/rootfs/state.startContainer" "$LOG.startContainer"
	for kind in "${KINDS[@]}" startContainer; do
		jq -es 'length == 1' "$LOG.$kind" >/dev/null
		is "$ID" "$(state_of "$kind" .id)" "id of $kind"
		is "$BUNDLE" "$(state_of "$kind" .bundle)" "bundle of $kind"
		is '{"b":"two words","org.example.a":"1"}' \
			"$(jq -cS .annotations "$LOG.$kind")" "annotations of $kind"
		matches '^1\.' "$(state_of "$kind" .ociVersion)"
		hasnt '^(rootfs|owner|created)$' "$(state_of "$kind" 'keys[]')"
	done
	for kind in prestart createRuntime; do
		is creating "$(state_of "$kind" .status)" "status of $kind"
		is "$pid" "$(state_of "$kind" .pid)" "pid of $kind"
	done
	is creating "$(state_of createContainer .status)"
	is created "$(state_of startContainer .status)"
	is 1 "$(state_of startContainer .pid)" "pid of startContainer"
	is "$pid" "$(state_of poststart .pid)" "pid of poststart"
	# runc: created, since it runs them before the start
	if is_runsm; then is running "$(state_of poststart .status)"; fi
	is stopped "$(state_of poststop .status)"
	is null "$(state_of poststop .pid)"
}

# bats test_tags=once
@test "path, args and env are exactly as given" {
	local env
	hook createRuntime "tr '\\0' '\\n' </proc/\$\$/cmdline >$LOG.cmdline; tr '\\0' '\\n' </proc/\$\$/environ >$LOG.env" \
		'{env: ["A=b c", "EMPTY=", "A2=ü"]}'
	cfg '.hooks.createRuntime[0].args += ["last", "two words", ""]'
	cfg '.hooks.prestart = [{path: "/bin/true"}]'
	hook prestart "exit 0" '{env: []}'
	# none given: the runtime's own
	hook prestart "env >$LOG.inherited"
	hook startContainer 'echo "$0 $1" >/args; env >/env' '{env: ["A=b c", "EMPTY="]}'
	cfg '.hooks.startContainer[0].args += ["last"]'
	hook startContainer 'env >/inherited'
	args true
	cfg '.process.env += ["OF=process"]'
	ctr_run 0
	is "sh -c" "$(head -n 2 "$LOG.cmdline" | xargs)"
	is "$(printf 'last\ntwo words\n')" "$(tail -n 3 "$LOG.cmdline")"
	is "$(printf 'A=b c\nEMPTY=\nA2=ü')" "$(cat "$LOG.env")"
	has "RSM_TEST_TAG=$ID" "$(cat "$LOG.inherited")"
	is "last" "$(xargs <"$BUNDLE/rootfs/args")"
	has "A=b c" "$(cat "$BUNDLE/rootfs/env")"
	has "EMPTY=" "$(cat "$BUNDLE/rootfs/env")"
	hasnt 'OF=process' "$(cat "$BUNDLE/rootfs/env")"
	has "OF=process" "$(cat "$BUNDLE/rootfs/inherited")"
}

# bats test_tags=once
@test "hooks of a kind run in the order they are listed" {
	local i
	for i in 1 2 3; do
		hook createRuntime "echo $i >>$LOG"
		hook poststop "echo stop$i >>$LOG"
		hook startContainer "echo $i >>/order"
	done
	args true
	ctr_run 0
	is "1 2 3 stop1 stop2 stop3" "$(xargs <"$LOG")"
	is "1 2 3" "$(xargs <"$BUNDLE/rootfs/order")"
}

# bats test_tags=once
@test "the working directory is the bundle, and stdin ends" {
	hook createRuntime "pwd >$LOG; cat >/dev/null; echo end >>$LOG"
	args true
	ctr_run 0
	is "$BUNDLE end" "$(xargs <"$LOG")"
}

@test "the pid's namespaces exist and can be entered" {
	hook createRuntime "pid=\$(jq .pid); nsenter -t \$pid -n ip link show lo >$LOG && readlink /proc/\$pid/ns/net >>$LOG"
	args true
	ctr_run 0
	matches 'lo:' "$(cat "$LOG")"
	matches 'net:\[[0-9]+\]' "$(cat "$LOG")"
}

@test "what createRuntime and createContainer hooks do to the root file system is seen" {
	hook prestart "echo prestart >rootfs/by-prestart"
	hook createRuntime "echo createRuntime >$BUNDLE/rootfs/by-createRuntime"
	hook createContainer "echo createContainer >$BUNDLE/rootfs/by-createContainer"
	sh_args 'cat /by-*'
	ctr_run 0
	is "$(printf 'createContainer\ncreateRuntime\nprestart')" "$output"
}

@test "createContainer hooks may mount into the container's root" {
	mkdir "$BUNDLE/rootfs/mnt" "$T/src"
	echo mounted >"$T/src/file"
	# their working directory is the root file system, as with runc
	hook createContainer "mount --bind $T/src mnt"
	sh_args 'cat /mnt/file'
	ctr_run 0
	is mounted "$output"
	! mountpoint -q "$BUNDLE/rootfs/mnt" || umount "$BUNDLE/rootfs/mnt"
}

@test "startContainer hooks run in the container's root, as its user, before its program" {
	hook startContainer 'id -u >/tmp/uid; pwd >/tmp/pwd; hostname >/tmp/hostname; echo 1 >/tmp/ran'
	cfg '.process.user.uid = 1000 | .process.cwd = "/home/tester" | .hostname = "inside"'
	sh_args 'cat /tmp/ran /tmp/uid /tmp/pwd /tmp/hostname'
	ctr_run 0
	is "1 1000 /home/tester inside" "$(xargs <<<"$output")"
}

# bats test_tags=once
@test "a hook of create that fails: its words, nothing left, poststop hooks run" {
	local kind
	hook poststop "echo poststop >>$LOG"
	for kind in prestart createRuntime createContainer; do
		cfg 'del(.hooks.prestart, .hooks.createRuntime, .hooks.createContainer)'
		hook "$kind" true
		hook "$kind" 'echo on stdout; echo on stderr >&2; exit 7'
		hook "$kind" "echo third >>$LOG"
		rm -f "$LOG"
		if is_runsm; then
			fails 1 "error running $kind hook #1 \('/bin/sh'\): exit status 7, stdout: on stdout, stderr: on stderr" \
				create --bundle "$BUNDLE" "$ID"
		else
			rtx 1 create --bundle "$BUNDLE" "$ID"
			matches 'hook #1.*exit status 7.*on stderr' "$stderr"
		fi
		is poststop "$(cat "$LOG")" "after $kind"
		nothing_left
	done
	hook prestart 'kill -9 $$'
	cfg '.hooks.createContainer = []'
	rtx 1 run --bundle "$BUNDLE" "$ID"
	matches 'hook #0.*signal: killed' "$stderr"
	nothing_left
}

@test "startContainer hooks are under the container's seccomp filter" {
	hook startContainer 'mkdir /tmp/x'
	cfg '.process.noNewPrivileges = true | .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW",
		architectures: ["SCMP_ARCH_X86_64"],
		syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_KILL_PROCESS"}]}'
	sh_args 'echo ran'
	rtx 1 run --bundle "$BUNDLE" "$ID"
	matches 'error running hook.*bad system call' "$stderr"
	is '' "$output"
	! is_runsm || nothing_left
}

@test "a startContainer hook that fails: start says why, the program does not run" {
	hook startContainer 'echo no >&2; exit 3'
	hook poststop "echo poststop >>$LOG"
	sh_args 'touch /ran'
	rtx 1 run --bundle "$BUNDLE" "$ID"
	if is_runsm; then
		matches "error running startContainer hook #0 \('/bin/sh'\): exit status 3, stdout: , stderr: no" "$stderr"
		is poststop "$(cat "$LOG")"
		nothing_left
		rm "$LOG"
		ctr_create
		fails 1 "startContainer hook #0.*exit status 3" start "$ID"
		is poststop "$(cat "$LOG")"
		nothing_left
	fi
	[ ! -e "$BUNDLE/rootfs/ran" ]
	rt delete --force "$ID"
}

# bats test_tags=once
@test "a hook that does not exist or cannot be executed" {
	local kind
	for kind in createRuntime startContainer; do
		cfg 'del(.hooks) | .hooks[$kind] = [{path: "/no/such/hook"}]' --arg kind $kind
		rtx 1 run --bundle "$BUNDLE" "$ID"
		if is_runsm; then
			matches "$kind hook #0 \('/no/such/hook'\): execute '/no/such/hook': No such file" "$stderr"
			nothing_left
		fi
		rt delete --force "$ID"
	done
}

# bats test_tags=once
@test "a hook past its timeout is killed with all its children" {
	need is_runsm -- "runc waits for the children that hold the hook's output"
	hook createRuntime "setsid sleep 1001 & (sleep 1002 &) ; sleep 1003" '{timeout: 1}'
	fails 1 "createRuntime hook #0 .*ran past its timeout of 1 s" create --bundle "$BUNDLE" "$ID"
	! pgrep -f 'sleep 100[123]'
	nothing_left
	cfg 'del(.hooks)'
	hook startContainer "sleep 1001 & sleep 1002" '{timeout: 1}'
	rtx 1 run --bundle "$BUNDLE" "$ID"
	matches "startContainer hook #0 .*ran past its timeout of 1 s" "$stderr"
	nothing_left
}

# bats test_tags=once
@test "a poststart hook that fails is logged, and the rest go on" {
	runsm_only # runc stops the container
	hook poststart 'echo oh >&2; exit 4'
	hook poststart "echo second >>$LOG"
	ctr_create
	rtx 0 start "$ID"
	matches "error running poststart hook #0 \('/bin/sh'\): exit status 4, stdout: , stderr: oh" "$stderr"
	is second "$(cat "$LOG")"
	status_is running
}

# bats test_tags=once
@test "a poststop hook that fails is logged, and the container is gone" {
	hook poststop 'exit 4'
	hook poststop "echo second >>$LOG"
	ctr_up
	rtx 0 delete --force "$ID"
	matches "hook #0.*exit status 4" "$stderr"
	if is_runsm; then is second "$(cat "$LOG")"; fi
	nothing_left
}

# bats test_tags=once
@test "poststop hooks see the container gone" {
	hook poststop "$RUNTIME --root $ROOT state $ID >$LOG 2>&1; echo \$? >>$LOG"
	ctr_up
	rt delete --force "$ID"
	matches 'does not exist' "$(head -n 1 "$LOG")"
	is 1 "$(tail -n 1 "$LOG")"
}

# bats test_tags=once
@test "state during a hook of create says creating" {
	runsm_only
	hook createRuntime "$RUNTIME --root $ROOT state $ID >$LOG"
	args true
	ctr_run 0
	is creating "$(jq -r .status "$LOG")"
}

@test "kill -9 of runsm in a hook: the VMM ends, delete -f cleans up and runs poststop" {
	runsm_only
	local pid
	hook createRuntime "echo \$PPID >$LOG; exec sleep 1001"
	hook poststop "echo poststop >$LOG.poststop"
	background rt create --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>&1
	wait_for 20 test -s "$LOG"
	pid=$(cat "$LOG")
	is creating "$(ctr_status)"
	kill -9 "$pid"
	wait_status stopped
	rtx 0 delete --force "$ID"
	is poststop "$(cat "$LOG.poststop")"
	nothing_left
}

@test "a signal, or delete --force, in a hook of create: all is undone" {
	runsm_only
	local pid rc=0
	hook createRuntime "echo \$PPID >$LOG; sleep 1001"
	"$RUNTIME" --root "$ROOT" create --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>"$T/err" 3>&- &
	pid=$!
	wait_for 20 test -s "$LOG"
	kill -TERM $pid
	wait $pid || rc=$?
	is 143 "$rc"
	nothing_left
	rm "$LOG"
	rc=0
	"$RUNTIME" --root "$ROOT" create --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>"$T/err" 3>&- &
	pid=$!
	wait_for 20 test -s "$LOG"
	rtx 0 delete --force "$ID"
	wait $pid || rc=$?
	is 1 "$rc"
	matches 'VMM was killed' "$(cat "$T/err")"
	nothing_left
}

# bats test_tags=once
@test "a daemon that a hook leaves behind is not killed" {
	hook createRuntime "sleep 1001 >/dev/null 2>&1 </dev/null & echo \$! >$LOG"
	args true
	ctr_run 0
	kill -0 "$(cat "$LOG")"
	kill "$(cat "$LOG")"
}

# bats test_tags=once
@test "malformed hooks are refused with their path" {
	runsm_only
	local filter re
	while IFS='|' read -r filter re; do
		cfg "del(.hooks) | .hooks = $filter"
		fails 1 "$re" create --bundle "$BUNDLE" "$ID"
		nothing_left
	done <<-'END'
		{prestart: [{path: "bin/true"}]}|hooks.prestart\[0\].path: 'bin/true' is not an absolute path
		{poststop: [{}]}|hooks.poststop\[0\].path: is missing
		{poststart: [{path: "/a"}, {path: 1}]}|hooks.poststart\[1\].path: expected a string
		{createRuntime: [{path: "/a", args: "x"}]}|hooks.createRuntime\[0\].args: expected an array
		{createContainer: [{path: "/a", env: [1]}]}|hooks.createContainer\[0\].env\[0\]: expected a string
		{startContainer: [{path: "/a", timeout: 0}]}|hooks.startContainer\[0\].timeout: 0 is not between 1 and
		{startContainer: [{path: "/a", timeout: -1}]}|hooks.startContainer\[0\].timeout: -1 is not between 1 and
		{startContainer: [{path: "/a", timeout: 1.5}]}|hooks.startContainer\[0\].timeout: 1.5 is not an integer
		{prestart: {path: "/a"}}|hooks.prestart: expected an array
		[]|hooks: expected an object
	END
}
