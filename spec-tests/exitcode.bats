#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The container's exit status reaches whoever runs or waits for it.

load helpers

@test "run exits with the program's status" {
	bundle
	local code
	for code in 0 1 126 127 128 255; do
		sh_args "exit $code"
		ctr_run $code
	done
}

@test "run exits with 128+n when signal n ends the program" {
	bundle
	# not from inside: a pid 1 is immune to what it has no handler for
	"$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>&1 3>&- &
	local pid=$! rc=0
	wait_status running
	rt kill "$ID" KILL
	wait $pid || rc=$?
	is 137 $rc
	# a fault is not ignored even there
	args /bin/probe segv
	ctr_run 139
	args /bin/probe trap
	ctr_run 132
}

# Docker, Podman and containerd wait for the pid that create wrote.
@test "the pid that create reports exits with the container's status" {
	bundle
	sh_args 'trap "exit 12" TERM; while :; do sleep 0.1; done'
	run -0 python3 "$SPEC_DIR/subreaper.py" --then "$RUNTIME --root $ROOT start $ID" --signal TERM \
		"$T/pid" "$RUNTIME" --root "$ROOT" create --bundle "$BUNDLE" --pid-file "$T/pid" "$ID" 3>&-
	is 12 "$output"
	is stopped "$(ctr_status)"
	rt delete "$ID"

	args sleep 1000
	run -0 python3 "$SPEC_DIR/subreaper.py" --then "$RUNTIME --root $ROOT start $ID;
		$RUNTIME --root $ROOT kill $ID KILL" \
		"$T/pid" "$RUNTIME" --root "$ROOT" create --bundle "$BUNDLE" --pid-file "$T/pid" "$ID" 3>&-
	is 137 "$output"
}

# The texts are runc's: Docker and Podman take 126 and 127 from them.
@test "a program that is missing or not executable: 127 or 126, and runc's words" {
	bundle
	echo text >"$BUNDLE/rootfs/plain"
	local verb
	for verb in run create; do
		args nonesuch
		fails 127/1 'exec: "nonesuch": executable file not found in \$PATH' \
			$verb --bundle "$BUNDLE" "$ID"
		nothing_left
	done
	args /bin/nonesuch
	fails 127/1 'exec: "/bin/nonesuch": stat /bin/nonesuch: no such file or directory' \
		run --bundle "$BUNDLE" "$ID"
	args /plain
	fails 126/1 'exec: "/plain": permission denied' run --bundle "$BUNDLE" "$ID"
	args /bin
	fails 126/1 'exec: "/bin": permission denied' run --bundle "$BUNDLE" "$ID"
	nothing_left
}

# exec itself fails after every check has passed: a script whose interpreter is missing
# bats test_tags=once
@test "a script without its interpreter fails to start" {
	bundle
	printf '#!/no/such/shell\n' >"$BUNDLE/rootfs/script"
	chmod 755 "$BUNDLE/rootfs/script"
	args /script
	run rt run --bundle "$BUNDLE" "$ID" </dev/null
	[ "$status" != 0 ]
	matches 'exec.*/script.*no such file or directory' "$output"
	nothing_left
}

# bats test_tags=once
@test "the program is looked up in the PATH of its own environment, relative to its cwd" {
	bundle
	mkdir "$BUNDLE/rootfs/opt"
	printf '#!/bin/sh\necho found $0\n' >"$BUNDLE/rootfs/opt/prog"
	chmod 755 "$BUNDLE/rootfs/opt/prog"
	cfg '.process.env = ["PATH=/nowhere:/opt:/bin"]'
	args prog
	ctr_run 0
	is "found /opt/prog" "$output"
	cfg '.process.cwd = "/opt"'
	args ./prog
	ctr_run 0
	is "found ./prog" "$output"
}
