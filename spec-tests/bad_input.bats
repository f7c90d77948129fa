#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What is wrong with a bundle or a command line is said in one line, and leaves nothing behind.
# spec: runtime.md#create ("MUST generate an error"), config.md

load helpers

# refused REGEX: neither create nor run takes the bundle, and both say why
refused() {
	local verb
	for verb in run create; do
		fails 1 "$1" $verb --bundle "$BUNDLE" "$ID"
		# one line, unless it is the guest's console that speaks
		is 1 "$(wc -l <<<"$stderr")" "lines of stderr"
		nothing_left
	done
	fails 1 "container does not exist" state "$ID"
}

# bats test_tags=once
@test "a bundle without config.json, or no bundle at all" {
	bundle
	rm "$BUNDLE/config.json"
	refused 'config\.json'
	BUNDLE=$T/nowhere
	refused 'nowhere'
	touch "$T/file"
	BUNDLE=$T/file
	refused 'not a directory'
}

# bats test_tags=once
@test "a config.json that is not JSON, or not an object" {
	bundle
	local bad
	for bad in '' '{' 'null' '[]' '"x"' '{"ociVersion": "1.0.2",}' '{"a": 1} trailing' \
		$'{"ociVersion": "1.0.2", "hostname": "\xff\xfe"}' "{\"ociVersion\": \"1.0.2\"} {"; do
		printf '%s' "$bad" >"$BUNDLE/config.json"
		run --separate-stderr rt create --bundle "$BUNDLE" "$ID" </dev/null
		[ "$status" != 0 ] || { echo "taken: $bad" >&2; false; }
		[ -n "$stderr" ]
	done
	nothing_left
}

# bats test_tags=once
@test "members of the wrong type are named" {
	bundle
	cp "$BUNDLE/config.json" "$T/good"
	local edit want
	while read -r want edit; do
		cp "$T/good" "$BUNDLE/config.json"
		cfg "$edit"
		run --separate-stderr rt create --bundle "$BUNDLE" "$ID" </dev/null
		[ "$status" != 0 ] || { echo "taken: $edit" >&2; false; }
		matches "$want" "$stderr"
	done <<-'EOT'
	process.*args .process.args = "sh"
	args .process.args = [1]
	args .process.args = []
	uid .process.user.uid = "root"
	uid .process.user.uid = -1
	uid .process.user.uid = 4294967296
	root .root = []
	path .root.path = 5
	mounts .mounts = {}
	destination .mounts[0].destination = 7
	namespaces .linux.namespaces = "all"
	terminal .process.terminal = "yes"
	EOT
	nothing_left
}

# bats test_tags=once
@test "required members that are missing are named" {
	bundle
	cp "$BUNDLE/config.json" "$T/good"
	local edit want
	while read -r want edit; do
		cp "$T/good" "$BUNDLE/config.json"
		cfg "$edit"
		run --separate-stderr rt create --bundle "$BUNDLE" "$ID" </dev/null
		[ "$status" != 0 ] || { echo "taken: $edit" >&2; false; }
		matches "$want" "$stderr"
	done <<-'EOT'
	. del(.process.args)
	[Cc]wd del(.process.cwd)
	. del(.process)
	[Rr]oot del(.root)
	EOT
	nothing_left
}

# bats test_tags=once
@test "unknown members are ignored, whatever they hold" {
	bundle
	# spec: config.md#extensibility
	cfg '.future = {deep: [1, {x: null}]} | .process.more = "x" | .linux.new = [] |
		.root.extra = 1e400 | .ociVersion = "1.3.0"' || cfg '.future = [] | .ociVersion = "1.3.0"'
	sh_args 'echo taken'
	ctr_run 0
	is taken "$output"
}

# bats test_tags=once
@test "a version that is none, or not of line 1, is refused" {
	runsm_only
	bundle
	cfg '.ociVersion = "2.0.0"'
	refused 'ociVersion'
	cfg '.ociVersion = "one"'
	refused 'ociVersion'
	cfg 'del(.ociVersion)'
	refused 'ociVersion'
}

# bats test_tags=once
@test "a key that comes twice is refused" {
	runsm_only
	bundle
	sed -i '0,/"root": {/s//"hostname": "twice", "root": {/' "$BUNDLE/config.json"
	is 2 "$(grep -c '"hostname"' "$BUNDLE/config.json")"
	refused 'hostname'
}

# bats test_tags=once
@test "an oversized or endless config.json is refused without reading on" {
	runsm_only
	bundle
	head -c 70000000 /dev/zero | tr '\0' ' ' >>"$BUNDLE/config.json"
	refused 'config\.json'
	printf '{"a":%s' "$(head -c 100000 /dev/zero | tr '\0' '[')" >"$BUNDLE/config.json"
	refused 'config\.json'
	rm "$BUNDLE/config.json"
	mkdir "$BUNDLE/config.json"
	refused 'config\.json'
	rmdir "$BUNDLE/config.json"
	ln -s /dev/zero "$BUNDLE/config.json"
	refused 'config\.json'
	ln -sf config.json "$BUNDLE/config.json"
	refused 'config\.json'
	rm "$BUNDLE/config.json"
	mkfifo "$BUNDLE/config.json"
	RT_TIMEOUT=20 refused 'config\.json'
}

# bats test_tags=once
@test "a root file system that is missing or no directory" {
	bundle
	rm -rf "$BUNDLE/rootfs"
	refused 'rootfs'
	touch "$BUNDLE/rootfs"
	run --separate-stderr rt create --bundle "$BUNDLE" "$ID" </dev/null
	[ "$status" != 0 ]
	matches 'rootfs|not a directory' "$stderr"
	nothing_left
}

@test "ids: what is allowed and what is not" {
	bundle
	args true
	local id
	for id in "" . .. ../x a/b "a b" $'a\nb' "ä" 'a$b' 'a*' "$(head -c 1100 /dev/zero | tr '\0' x)"; do
		run --separate-stderr rt run --bundle "$BUNDLE" "$id" </dev/null
		[ "$status" != 0 ] || { echo "taken: $id" >&2; false; }
		[ -n "$stderr" ]
	done
	nothing_left
	is "" "$(ls -A "$ROOT")"
	for id in "$ID" "$ID.a_b+c-d" "${ID}_$(head -c 120 /dev/zero | tr '\0' x)"; do
		rtx 0 run --bundle "$BUNDLE" "$id"
	done
	# nor do other commands reach out of the root directory
	mkdir "$T/victim"
	touch "$T/victim/state.json"
	for id in ../victim ..; do
		run rt delete --force "$id" </dev/null
		run rt state "$id" </dev/null
		[ "$status" != 0 ]
	done
	[ -e "$T/victim/state.json" ]
}

# bats test_tags=once
@test "what is not supported is refused by the name of its field" {
	runsm_only
	bundle
	cp "$BUNDLE/config.json" "$T/good"
	local edit want
	while read -r want edit; do
		cp "$T/good" "$BUNDLE/config.json"
		cfg "$edit"
		fails 1 "$want" create --bundle "$BUNDLE" "$ID"
	done <<-'EOT'
	linux\.namespaces.*pid .linux.namespaces |= map(if .type == "pid" then .path = "/proc/1/ns/pid" else . end)
	linux\.intelRdt .linux.intelRdt = {closID: "x"}
	linux\.uidMappings:.*ID.0 .linux.namespaces += [{type: "user"}]
	mounts\[[0-9]+\] .mounts += [{destination: "/x", type: "nonesuchfs", source: "x"}]
	process\.rlimits.*RLIMIT_NONESUCH .process.rlimits += [{type: "RLIMIT_NONESUCH", soft: 1, hard: 1}]
	EOT
	nothing_left
}

# bats test_tags=once
# The JSON path comes first: each row is what the message begins with, and what is wrong.
# bats test_tags=once
@test "values that are malformed, contradictory or out of range are refused by their path" {
	runsm_only
	bundle
	cp "$BUNDLE/config.json" "$T/good"
	local edit want
	while read -r want edit; do
		cp "$T/good" "$BUNDLE/config.json"
		cfg "$edit"
		fails 1 "config\.json: $want:" create --bundle "$BUNDLE" "$ID"
	done <<-'EOT'
	process\.user\.uid .process.user.uid = 4294967295
	process\.user\.additionalGids\[0\] .process.user.additionalGids = [4294967295]
	process\.user\.umask .process.user.umask = 512
	process\.env\[1\] .process.env = ["A=b", "C"]
	process\.cwd .process.cwd = "tmp"
	process\.cwd .process.cwd = "/" + "x" * 256
	process\.args\[1\] .process.args = ["sh", "x" * 131072]
	process\.rlimits\[0\] .process.rlimits = [{type: "RLIMIT_CORE", soft: 2, hard: 1}]
	process\.rlimits\[1\] .process.rlimits += .process.rlimits
	process\.rlimits\[0\]\.hard .process.rlimits = [{type: "RLIMIT_CORE", soft: 2}]
	process\.oomScoreAdj .process.oomScoreAdj = 1.5
	process\.capabilities\.effective .process.capabilities.effective += ["CAP_SYS_BOOT"]
	process\.scheduler\.priority .process.scheduler = {policy: "SCHED_FIFO", priority: 100}
	process\.scheduler\.deadline .process.scheduler = {policy: "SCHED_RR", priority: 1, deadline: 5}
	process\.ioPriority\.class .process.ioPriority = {priority: 1}
	process\.execCPUAffinity\.final .process.execCPUAffinity = {final: "3-1"}
	linux\.namespaces\[[0-9]\] .linux.namespaces += [{type: "pid"}]
	linux\.namespaces\[[0-9]\]\.type .linux.namespaces += [{type: "moon"}]
	linux\.uidMappings .linux.uidMappings = [{containerID: 0, hostID: 1, size: 1}]
	linux\.timeOffsets .linux.timeOffsets = {boottime: {secs: 1}}
	linux\.devices\[0\]\.type .linux.devices = [{path: "/dev/x", type: "q"}]
	linux\.devices\[0\]\.path .linux.devices = [{path: "dev/x", type: "p"}]
	linux\.devices\[0\]\.minor .linux.devices = [{path: "/dev/x", type: "c", major: 1, minor: -3}]
	linux\.sysctl\.kernel\.hostname .linux.sysctl = {"kernel.hostname": "x"}
	linux\.seccomp\.defaultAction .linux.seccomp = {syscalls: [{names: ["read"], action: "SCMP_ACT_LOG"}]}
	linux\.seccomp\.architectures\[0\] .linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["VAX"]}
	linux\.rootfsPropagation .linux.rootfsPropagation = "sideways"
	linux\.maskedPaths\[0\] .linux.maskedPaths = ["proc"]
	mounts\[[0-9]\]\.destination .mounts += [{type: "tmpfs"}]
	mounts\[[0-9]\]\.source .mounts += [{destination: "/x", type: "bind"}]
	mounts\[[0-9]\]\.options\[0\] .mounts += [{destination: "/x", type: "tmpfs", options: ["size=1m,ro"]}]
	hostname .hostname = "x" * 65
	annotations .annotations = {"": "x"}
	line.[0-9]+:.process\.args\[0\] .process.args = ["a\u0000b"]
	EOT
	# and what only the guest's kernel knows
	cp "$T/good" "$BUNDLE/config.json"
	cfg '.mounts += [{destination: "/x", type: "tmpfs", source: "t", options: ["size=lots"]}]'
	fails 1 "mounts\[7\]: mount '/x'" create --bundle "$BUNDLE" "$ID"
	nothing_left
}

@test "a state directory that is damaged is reported, and can be deleted" {
	runsm_only
	mkdir "$ROOT/$ID"
	fails 1 "$ID|state" state "$ID"
	echo '{ "half' >"$ROOT/$ID/state.json"
	fails 1 "state" state "$ID"
	rtx 0 list
	rtx 0 delete --force "$ID"
	nothing_left
}

# However little room there is: create fails by the name of what it could not write, or works.
# bats test_tags=once
@test "a full disk under the state directory: create fails cleanly, and works once there is room" {
	runsm_only
	local pages status=1
	bundle
	args sleep 1000
	mkdir "$T/small"
	mount -t tmpfs -o size=256k tmpfs "$T/small"
	OUR_MOUNTS+=("$T/small")
	ROOT=$T/small/root
	mkdir "$ROOT"
	for pages in 0 1 2 3 4 8 16; do
		rm -f "$T/small/filler"
		dd if=/dev/zero of="$T/small/filler" bs=4096 2>/dev/null || :
		truncate -s -$((pages * 4096)) "$T/small/filler"
		status=0
		rt create --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>"$T/err" || status=$?
		[ "$status" != 0 ] || break
		matches 'No space left on device' "$(cat "$T/err")"
		nothing_left
	done
	is 0 "$status"
	[ "$pages" -gt 0 ]
	# what there is can be used, and deleted, on a full disk
	dd if=/dev/zero of="$T/small/more" bs=4096 2>/dev/null || :
	rtx 0 start "$ID"
	in_ctr true
	rtx 0 kill "$ID" KILL
	wait_status stopped
	rtx 0 delete "$ID"
	nothing_left
	umount "$T/small"
	OUR_MOUNTS=()
}

# bats test_tags=once
@test "a mount source that vanishes during create is named, and nothing is left" {
	bundle
	mkdir "$T/src"
	cfg '.mounts += [{destination: "/mnt", type: "bind", source: $src, options: ["rbind"]}] |
		.hooks.createRuntime = [{path: "/bin/rmdir", args: ["rmdir", $src]}]' --arg src "$T/src"
	fails 1 "$T/src.*[Nn]o such file or directory" create --bundle "$BUNDLE" "$ID"
	nothing_left
}
