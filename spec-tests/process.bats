#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# spec: config.md#process, config.md#linux-process

load helpers

# section NAME TEXT: what the script printed between "== NAME" and the next "=="
section() { awk -v n="== $1" '$0 == n {on = 1; next} /^== / {on = 0} on' <<<"$2"; }

@test "env, cwd, user, umask, rlimits, capabilities, noNewPrivileges, oomScoreAdj" {
	bundle
	cfg '.process |= (.env = ["PATH=/bin", "A=1", "EMPTY=", "SPACE=a b", "UNI=\u00e9", "A=2"] |
		.cwd = "/made/by/runtime" |
		.user = {uid: 1000, gid: 1001, additionalGids: [2000, 2001], umask: 23} |
		.noNewPrivileges = true | .oomScoreAdj = 123 |
		.rlimits = [{type: "RLIMIT_NOFILE", soft: 100, hard: 200},
			{type: "RLIMIT_CORE", soft: 0, hard: 0},
			{type: "RLIMIT_FSIZE", soft: 1048576, hard: 2097152}] |
		.capabilities = {bounding: ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID"],
			permitted: ["CAP_KILL", "CAP_CHOWN"], effective: ["CAP_KILL"],
			inheritable: ["CAP_CHOWN"], ambient: ["CAP_CHOWN"]})'
	sh_args 'echo == env; env; echo == cwd; pwd; echo == id; id -u; id -g; id -G; echo == umask; umask
		echo == nofile; ulimit -Sn; ulimit -Hn; echo == core; ulimit -Hc; echo == fsize; ulimit -Sf
		echo == status; grep -E "^(Cap|NoNewPrivs)" /proc/self/status
		echo == oom; cat /proc/self/oom_score_adj'
	ctr_run 0
	local env
	env=$(section env "$output")
	has "EMPTY=" "$env"
	has "SPACE=a b" "$env"
	has "UNI=é" "$env"
	has "A=2" "$env"
	hasnt '^(A=1|RUNSM|RSM|LISTEN)' "$env"
	is /made/by/runtime "$(section cwd "$output")"
	[ -d "$BUNDLE/rootfs/made/by/runtime" ]
	is "1000
1001
1001 2000 2001" "$(section id "$output")"
	is 0027 "$(section umask "$output")"
	is "100
200" "$(section nofile "$output")"
	is 0 "$(section core "$output")"
	is 2048 "$(section fsize "$output")"
	is 123 "$(section oom "$output")"
	local caps
	caps=$(section status "$output")
	has "NoNewPrivs:	1" "$caps"
	has "CapBnd:	00000000000000a1" "$caps"
	has "CapInh:	0000000000000001" "$caps"
	has "CapAmb:	0000000000000001" "$caps"
	# after exec of an unprivileged user's program: ambient
	has "CapPrm:	0000000000000001" "$caps"
	has "CapEff:	0000000000000001" "$caps"
}

@test "root's capabilities are the ones config.json gives, in an exec too" {
	bundle
	cfg '.process.noNewPrivileges = false | .process.capabilities =
		(["bounding", "permitted", "effective"] | map({key: ., value: ["CAP_CHOWN", "CAP_KILL"]}) |
		 from_entries)'
	ctr_up
	in_ctr sh -c 'grep -E "^(Cap|NoNewPrivs)" /proc/1/status; echo; grep -E "^Cap" /proc/self/status'
	local want
	for want in "CapPrm:	0000000000000021" "CapEff:	0000000000000021" \
		"CapBnd:	0000000000000021" "CapAmb:	0000000000000000"; do
		is 2 "$(grep -cxF "$want" <<<"$output")" "$want"
	done
	has "NoNewPrivs:	0" "$output"
	# and they bind: no CAP_NET_ADMIN, no CAP_SYS_ADMIN
	run rt exec "$ID" mount -t tmpfs x /tmp
	[ "$status" != 0 ]
	run rt exec "$ID" hostname changed
	[ "$status" != 0 ]
}

@test "arguments arrive as they are" {
	bundle
	args /bin/busybox sh -c 'for a; do printf "<%s>" "$a"; done' argv0 "" " " $'new\nline' '$HOME' "a'b\"c" é -x
	ctr_run 0
	is $'<>< ><new\nline><$HOME><a\'b"c><é><-x>' "$output"
	# long ones
	local long
	long=$(head -c 100000 /dev/zero | tr '\0' y)
	args sh -c 'echo ${#1} ${#BIG}' x "$long"
	cfg '.process.env += ["BIG=" + ("z" * 50000)] + [range(500) | "V\(.)=\(.)"]'
	ctr_run 0
	is "100000 50000" "$output"
}

# bats test_tags=once
@test "HOME comes from the user's entry in /etc/passwd when the environment has none" {
	bundle
	sh_args 'echo $HOME'
	ctr_run 0
	is /root "$output"
	cfg '.process.user.uid = 1000'
	ctr_run 0
	is /home/tester "$output"
	cfg '.process.user.uid = 5555'
	ctr_run 0
	is / "$output"
	cfg '.process.env += ["HOME=/given"]'
	ctr_run 0
	is /given "$output"
}

# make(1) and others compare it with the times of files, which are the host's. A third of a second is
# less than a clock that was read from the VM's board is off, half of the time.
@test "the clock is the host's" {
	bundle debian
	ctr_up
	in_ctr true
	local before=$EPOCHREALTIME
	in_ctr date +%s.%N
	jq -en --argjson a "$before" --argjson b "$EPOCHREALTIME" --argjson t "$output" \
		'$t > $a - 0.3 and $t < $b + 0.3'
}

# bats test_tags=once
@test "the umask defaults to 022" {
	bundle
	sh_args 'umask'
	ctr_run 0
	is 0022 "$output"
}

# bats test_tags=once
@test "a cwd that is a file, or a relative one, is refused" {
	bundle
	touch "$BUNDLE/rootfs/file"
	cfg '.process.cwd = "/file"'
	run rt run --bundle "$BUNDLE" "$ID" </dev/null
	[ "$status" != 0 ]
	matches 'not a directory' "$output"
	cfg '.process.cwd = "tmp"'
	fails 1 '[Cc]wd' run --bundle "$BUNDLE" "$ID"
	nothing_left
}

# bats test_tags=once
@test "a container without a terminal has none" {
	bundle
	sh_args 'test -t 0 || test -t 1 || test -t 2 || echo no tty; cat /dev/tty; ls /dev/console'
	run --separate-stderr rt run --bundle "$BUNDLE" "$ID" </dev/null
	is "no tty" "$output"
	matches '/dev/tty' "$stderr"
	matches '/dev/console' "$stderr"
}

# bats test_tags=once
@test "the process is the leader of its own session" {
	bundle
	sh_args 'cut -d" " -f1,5,6 /proc/1/stat'
	ctr_run 0
	is "1 1 1" "$output"
}

@test "an rlimit above the hard limit of the caller is in order inside a VM" {
	runsm_only
	bundle
	cfg '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 65536, hard: 1048576},
		{type: "RLIMIT_MEMLOCK", soft: 7777, hard: 7777}]'
	sh_args 'ulimit -Sn; ulimit -Hn; ulimit -l'
	# jq 1.6 would round it
	sed -i 's/7777/18446744073709551615/' "$BUNDLE/config.json"
	ctr_run 0
	is "65536
1048576
unlimited" "$output"
}
