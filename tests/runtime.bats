#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The runtime alone, against a stand-in for runsm-vmm (tests/fake/fake_vmm.c): state directories,
# messages, exit codes, what is left behind. Needs no root, no QEMU, no guest image.

bats_require_minimum_version 1.5.0

setup() {
	T=$BATS_TEST_TMPDIR
	mkdir -p "$T/bin" "$T/guest" "$T/b/rootfs"
	cp "$RUNSM_BUILD/runsm" "$T/bin/runsm"
	cp "$RUNSM_BUILD/tests/fake/fake_vmm" "$T/bin/runsm-vmm"
	export RUNSM_GUEST_DIR=$T/guest RUNSM_ACCEL=tcg RUNSM_BOOT_TIMEOUT=5
	touch "$T/guest/kernel" "$T/guest/initrd"
	jq -n --arg sum "$(sha256sum </dev/null | cut -d' ' -f1)" '{sha256: $sum, bytes: 0} as $empty |
		{format: 2, kernelVersion: "6", boot: "pvh", mmioCmdline: true, source: "none",
		modules: [], kernel: $empty, initrd: $empty, agent: $empty, runsmVersion: "0",
		buildTime: "2024-05-06T07:08:09Z"}' >"$T/guest/manifest.json"
	printf '#!/bin/sh\n' >"$T/bin/qemu-system-x86_64"
	chmod +x "$T/bin/qemu-system-x86_64"
	PATH=$T/bin:$PATH
	(cd "$T/b" && runsm spec)
	edit '.process.terminal = false'
	vmm_does sleep
}

teardown() {
	local file
	for file in "$T"/*.pid "$T"/root/*/state.json; do
		[ ! -e "$file" ] || kill -9 "$(jq '.pid? // .' "$file")" 2>/dev/null || :
	done
	for file in "$T"/root/*/; do [ ! -d "$file" ] || rt delete --force "$(basename "$file")" || :; done
	rm -rf "$T"
}

# edit FILTER [JQ-OPTION…]
edit() {
	local filter=$1
	shift
	jq "$filter" "$T/b/config.json" "$@" >"$T/b/new"
	mv "$T/b/new" "$T/b/config.json"
}

vmm_does() { edit '.process.args = $ARGS.positional' --args -- "$@"; }

rt() { timeout 30 runsm --root "$T/root" "$@" 3>&- 4>&-; }

rtx() {
	local want=$1
	shift
	run --separate-stderr "-$want" rt "$@" </dev/null || :
	[ "$status" = "$want" ] || { echo "$*: $status; $output; $stderr" >&2; return 1; }
}

# Output to files: the VMM keeps it, and "run" would wait for its end.
create() {
	rt create --bundle "$T/b" --pid-file "$T/c.pid" "${@:-c}" </dev/null >"$T/out" 2>"$T/err" ||
		{ cat "$T/err" >&2; return 1; }
}

status_is() {
	rtx 0 state c
	[ "$(jq -r .status <<<"$output")" = "$1" ]
}

# The child of a killed create or run is reaped by init, or by nobody: both count as gone.
gone() {
	local i
	for i in $(seq 50); do
		[ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null && return
		sleep 0.1
	done
	return 1
}

# The runsm behind "rt … &": a shell, timeout(1), then it.
child_of() {
	local pid=$1
	while [ "$(cat "/proc/$pid/comm")" != runsm ]; do
		pid=$(awk '{print $1}' "/proc/$pid/task/$pid/children")
	done
	echo "$pid"
}

nothing_left() {
	[ -z "$(ls -A "$T/root" 2>/dev/null)" ]
}

@test "create, start, kill and delete go through runc's states" {
	create
	status_is created
	[ "$(cat "$T/c.pid")" = "$(jq .pid <<<"$output")" ]
	[ "$(stat -c %a "$T/root/c")" = 700 ]
	rtx 0 start c
	status_is running
	rtx 1 start c
	[[ $stderr == *"cannot start an already running container"* ]]
	rtx 1 delete c
	[[ $stderr == *"cannot delete container c that is not stopped: running"* ]]
	rtx 0 pause c
	status_is paused
	rtx 1 pause c
	[[ $stderr == *"container not running"* ]]
	rtx 255 exec c true
	[[ $stderr == *"cannot exec in a paused container"* ]]
	rtx 1 start c
	[[ $stderr == *"cannot start a container in the paused state"* ]]
	rtx 0 ps c
	[[ ${lines[1]} == *"       7 "* ]]
	rtx 0 ps -f json c
	[ "$output" = "[$(cat "$T/c.pid")]" ]
	rtx 0 resume c
	rtx 1 resume c
	[[ $stderr == *"container not paused"* ]]
	rtx 0 kill c 0
	rtx 1 kill c BOGUS
	[[ $stderr == *'unknown signal "BOGUS"'* ]]
	rtx 0 kill c KILL
	gone "$(cat "$T/c.pid")"
	status_is stopped
	[ "$(jq .pid <<<"$output")" = 0 ]
	rtx 1 kill c KILL
	[[ $stderr == *"container not running"* ]]
	rtx 0 kill --all c KILL
	rtx 1 start c
	[[ $stderr == *"cannot start a container that has stopped"* ]]
	rtx 255 exec c true
	[[ $stderr == *"cannot exec in a stopped container"* ]]
	rtx 0 ps --format json c
	[ "$output" = "[]" ]
	rtx 0 delete c
	rtx 1 delete c
	[[ $stderr == *"container does not exist"* ]]
	rtx 0 delete --force c
	nothing_left
}

@test "a created container is deleted without force" {
	create
	rtx 0 delete c
	gone "$(cat "$T/c.pid")"
	nothing_left
}

@test "an id is used once" {
	create
	rtx 1 create --bundle "$T/b" c
	[[ $stderr == *"container with given ID already exists"* ]]
	status_is created
}

@test "ids that runc refuses are refused" {
	for id in '' . .. a/b 'a b' ü "$(printf 'a%.0s' {1..256})"; do
		rtx 1 create --bundle "$T/b" "$id"
		[[ $stderr == *"container id"* || $stderr == *"invalid container ID"* ]]
	done
	create a_b+c.d-1
}

@test "run returns the exit status and leaves nothing" {
	vmm_does exit 42
	rtx 42 run --bundle "$T/b" c
	nothing_left
	rtx 42 run --bundle "$T/b" --keep c
	status_is stopped
}

@test "run passes signals on" {
	rt run --bundle "$T/b" --pid-file "$T/c.pid" c >"$T/out" 2>&1 &
	pid=$!
	for _ in $(seq 50); do
		rt state c 2>/dev/null | grep -q running && break
		sleep 0.1
	done
	status_is running
	kill -TERM "$(child_of "$pid")"
	status=0
	wait "$pid" || status=$?
	[ "$status" = 143 ]
	nothing_left
}

@test "a VMM that reports failure gives its message, its status, and the console's end" {
	vmm_does refuse 127 'exec: "foo": executable file not found in $PATH'
	rtx 127 create --bundle "$T/b" --pid-file "$T/c.pid" c
	[[ $stderr == *'exec: "foo": executable file not found in $PATH'* ]]
	[[ $stderr == *"line one | Kernel panic - not syncing"* ]]
	[ "$(wc -l <<<"$stderr")" = 1 ]
	[ ! -e "$T/c.pid" ]
	nothing_left
	run -127 rt --log "$T/log" --log-format json run --bundle "$T/b" c
	[[ $(tail -1 "$T/log" | jq -r .msg) == *"executable file not found"* ]]
	nothing_left
}

@test "a VMM that dies without a report is an error that says so" {
	vmm_does mute
	rtx 1 create --bundle "$T/b" c
	[[ $stderr == *"the VMM ended with status 3 and no report"* ]]
	nothing_left
}

@test "create that is interrupted leaves nothing" {
	vmm_does hang
	rt create --bundle "$T/b" c >"$T/out" 2>&1 &
	pid=$!
	for _ in $(seq 50); do
		[ -e "$T/root/c/state.json" ] && break
		sleep 0.1
	done
	status_is creating
	vmm=$(jq .pid <<<"$output")
	kill -TERM "$(child_of "$pid")"
	status=0
	wait "$pid" || status=$?
	[ "$status" = 143 ]
	gone "$vmm"
	nothing_left
}

@test "create that is killed leaves what delete --force removes" {
	vmm_does hang
	rt create --bundle "$T/b" c >"$T/out" 2>&1 &
	for _ in $(seq 50); do
		[ -e "$T/root/c/state.json" ] && break
		sleep 0.1
	done
	rtx 0 state c
	vmm=$(jq .pid <<<"$output")
	kill -KILL "$(child_of $!)"
	wait || :
	rtx 0 delete --force c
	gone "$vmm"
	nothing_left
}

@test "a VMM that is killed means stopped" {
	create
	rtx 0 start c
	kill -9 "$(cat "$T/c.pid")"
	gone "$(cat "$T/c.pid")"
	status_is stopped
	rtx 0 delete c
	nothing_left
}

@test "a directory that a killed create left is taken over" {
	mkdir -p "$T/root/c"
	touch "$T/root/c/lock" "$T/root/c/config.json"
	rtx 1 state c
	[[ $stderr == *"container does not exist: "*"delete --force c"* ]]
	rtx 0 list -q
	[ -z "$output" ]
	create
	status_is created
	rtx 0 delete --force c
	mkdir -p "$T/root/c"
	rtx 0 delete --force c
	nothing_left
}

@test "a damaged or missing state.json does not keep delete --force from the VMM" {
	for damage in ': >' 'rm'; do
		create
		eval "$damage $T/root/c/state.json"
		rtx 1 state c
		rtx 0 list
		rtx 1 delete c
		rtx 0 delete --force c
		gone "$(cat "$T/c.pid")"
		nothing_left
	done
}

@test "exec returns the status, and what the command line asks for arrives" {
	create
	rtx 0 start c
	rtx 7 exec --user 5:6 --cwd /tmp --env A=1 c 7 x
	[ "${lines[0]}" = "7 x" ]
	[ "${lines[1]}" = "user 5:6 cwd /tmp env A=1" ]
	rtx 255 exec c missing
	[[ $stderr == *'exec failed: exec: "missing": executable file not found in $PATH'* ]]
	rtx 255 exec c
	[[ $stderr == *"process args cannot be empty"* ]]
	rtx 255 exec --user x c 0
	rtx 255 exec nope 0
	[[ $stderr == *"exec failed: container does not exist"* ]]
	echo '{"args":["9"],"cwd":"/p","user":{"uid":1,"gid":2}}' >"$T/p.json"
	rtx 9 exec --process "$T/p.json" c
	[ "${lines[1]}" = "user 1:2 cwd /p env " ]
	echo '{"args":["9"],"cwd":"/p","user":{"uid":"1"}}' >"$T/p.json"
	rtx 255 exec --process "$T/p.json" c
	[[ $stderr == *"process.user.uid: expected a number, found a string"* ]]
}

@test "a detached exec leaves a stub that stands for the process" {
	create
	rtx 0 start c
	rtx 0 exec --detach --pid-file "$T/e.pid" c wait
	stub=$(cat "$T/e.pid")
	[ -e "/proc/$stub" ]
	[ "$(readlink "/proc/$stub/fd/1")" = /dev/null ]
	kill -TERM "$stub"
	gone "$stub"
	rtx 255 exec --detach --pid-file "$T/f.pid" c missing
	[ ! -e "$T/f.pid" ]
}

@test "ps shows the guest's processes without their control characters" {
	create
	rtx 0 ps c
	[[ ${lines[1]} == *"    7 "*"01:01:01 sh?[2J -c x" ]]
	rtx 0 ps --format json c
	[ "$output" = "[$(cat "$T/c.pid")]" ]
	rtx 1 ps --format xml c
}

# follow [OPTION…]: events of c in the background, its records in $T/events
follow() {
	rt events "$@" c >"$T/events" 2>"$T/events.err" &
	EVENTS=$!
}

records() { jq -r .type "$T/events" | sort | uniq -c | awk -v t="$1" '$2 == t { print $1 }'; }

# until_records N TYPE
until_records() {
	local i
	for i in $(seq 200); do
		[ "$(records "$2")" -ge "$1" ] 2>/dev/null && return
		sleep 0.05
	done
	cat "$T/events" "$T/events.err" >&2
	return 1
}

# runc: events.go, tests/integration/events.bats
@test "events --stats prints one record, and nothing of what a guest makes up" {
	create
	rt start c
	rtx 0 events --stats c
	[ "${#lines[@]}" = 1 ]
	[[ $output == '{"type":"stats","id":"c","data":{"cpu":{"usage":{'* ]]
	[ "$(jq -c .data.memory.raw <<<"$output")" = '{"anon":18446744073709551615}' ] ||
		[ "$(jq -c .data.memory.raw <<<"$output")" = '{"anon":18446744073709552000}' ]
	[ "$(jq .data.pids.current <<<"$output")" = 3 ]
	# not more than the VM has, whatever the guest says
	[ "$(jq .data.memory.usage.limit <<<"$output")" = $((1 << 30)) ]
	[[ $stderr == *"memory.stat has 2 entries that are none"* ]]
}

@test "events prints a record every interval, and ends with the container" {
	create
	rt start c
	follow --interval 100ms
	until_records 3 stats
	rt kill c KILL
	wait "$EVENTS"
	jq -es 'all(.type == "stats" and .id == "c")' "$T/events"
	rtx 1 events c
	[[ $stderr == *"container with id c is not running"* ]]
	rtx 1 events --stats c
	[[ $stderr == *"container with id c is not running"* ]]
}

@test "events tells of lack of memory, before the end it brings" {
	vmm_does oom
	create
	rt start c
	follow
	wait "$EVENTS"
	[ "$(cat "$T/events")" = '{"type":"oom","id":"c"}' ]
}

@test "events of a guest that does not answer ends with it" {
	vmm_does deaf
	create
	rt start c
	follow --interval 50ms
	sleep 0.5
	rt kill c KILL
	wait "$EVENTS"
	[ ! -s "$T/events" ]
}

@test "events of a paused container: what the guest said before" {
	create
	rt start c
	rt pause c
	rtx 0 events --stats c
	[ "$(jq .data.pids.current <<<"$output")" = 3 ]
	follow --interval 50ms
	until_records 2 stats
	rm "$T/root/c/stats"
	rtx 1 events --stats c
	[[ $stderr == *"container is paused, and what its guest said before cannot be read"* ]]
	rt resume c
	until_records 4 stats
	rt kill c KILL
	wait "$EVENTS"
}

@test "events whose output nobody takes, or that is killed, ends alone" {
	create
	rt start c
	rt events --interval 20ms c | head -n 1 >/dev/null
	[ "${PIPESTATUS[0]}" = 1 ]
	follow --interval 20ms
	until_records 1 stats
	kill -9 "$EVENTS"
	wait "$EVENTS" || :
	status_is running
	rt events --stats c >/dev/full 2>"$T/err" && false
	grep -q "write to standard output" "$T/err"
}

# runc's words: flag package of Go, events.go
@test "events: intervals that are none are refused" {
	local bad
	create
	for bad in 5 x "" 1d 9999999999h; do
		rtx 1 events --interval "$bad" c
		[[ $output == "Incorrect Usage: invalid value \"$bad\" for flag -interval: parse error"* ]]
	done
	for bad in 0 0s -1s; do
		rtx 1 events --interval "$bad" c
		[[ $stderr == *"duration interval must be greater than 0"* ]]
	done
	rtx 1 events --interval 0 none
	[[ $stderr == *"container does not exist"* ]]
	rtx 1 events
	[[ $stderr == *"requires exactly 1 argument"* ]]
	rtx 0 events --interval 1h --stats c # created is enough
}

@test "list shows what state says" {
	rtx 0 list --format json
	[ "$output" = null ]
	create
	rtx 0 list
	[[ ${lines[0]} == "ID "*PID*STATUS*BUNDLE*CREATED*OWNER ]]
	[[ ${lines[1]} == "c "*created*"$T/b"* ]]
	rtx 0 list --format json
	[ "$(jq -r '.[0].id + .[0].status' <<<"$output")" = ccreated ]
}

@test "what is wrong with a bundle is said before anything is made" {
	rtx 1 create --bundle "$T/nope" c
	[[ $stderr == *"$T/nope"* ]]
	rtx 1 create --bundle "$T" c
	[[ $stderr == *"config.json not found"* ]]
	edit '.root.path = "nope"'
	rtx 1 create --bundle "$T/b" c
	[[ $stderr == *"root.path: "*"nope"* ]]
	edit '.root.path = "rootfs" | .mounts += [{"destination":"/x","type":"bind","source":"/nope"}]'
	rtx 1 create --bundle "$T/b" c
	[[ $stderr == *"mounts[7].source: '/nope'"* ]]
	edit 'del(.mounts[7]) | .process.user.uid = "0"'
	rtx 1 create --bundle "$T/b" c
	[[ $stderr == *"config.json: process.user.uid: expected a number, found a string"* ]]
	head -c 17000000 /dev/zero | tr '\0' ' ' >"$T/b/config.json"
	rtx 1 create --bundle "$T/b" c
	[[ $stderr == *"larger than"* ]]
	nothing_left
}

@test "a terminal needs a console socket, and a console socket a terminal" {
	rtx 1 create --bundle "$T/b" --console-socket "$T/s" c
	[[ $stderr == *"cannot use console socket"* ]]
	edit '.process.terminal = true'
	rtx 1 create --bundle "$T/b" c
	[[ $stderr == *"cannot allocate tty if runsm will detach without setting console socket"* ]]
	rtx 1 create --bundle "$T/b" --console-socket "$T/s" c
	[[ $stderr == *"connect to the console socket"* ]]
	nothing_left
}

@test "a missing guest image or machine is named" {
	rm "$T/guest/initrd"
	rtx 1 create --bundle "$T/b" c
	[[ $stderr == *"guest image"*"runsm guest build"* ]]
	RUNSM_ACCEL=kvm rtx 1 create --bundle "$T/b" c
	[[ $stderr == *"accel kvm"* ]]
	RUNSM_ACCEL=xen rtx 1 create --bundle "$T/b" c
	[[ $stderr == *"RUNSM_ACCEL: 'xen'"* ]]
	nothing_left
}

@test "a missing QEMU is named" {
	rm "$T/bin/qemu-system-x86_64"
	run --separate-stderr env PATH="$T/bin" "$T/bin/runsm" --root "$T/root" create --bundle "$T/b" c
	[ "$status" = 1 ]
	[[ $stderr == *"qemu-system-x86_64"*"install the package qemu-system-x86"* ]]
	nothing_left
}

@test "check says what fails and what to do about it, and its exit status says whether" {
	printf '#!/bin/sh\ncase $1 in --version) echo QEMU emulator version 9;; *) printf %%s%%s%%s %s;; esac\n' \
		"'\"vhost-user-fs-device\"' '\"vhost-user-vsock-device\"'" >"$T/bin/qemu-system-x86_64"
	rtx 0 check
	[[ $output == *"ok    machine      tcg: asked for"* ]]
	[[ $output == *"QEMU emulator version 9"* ]]
	rtx 0 check --format json
	[ "$(jq -c '[.ok, .machine]' <<<"$output")" = '[true,"tcg"]' ]
	printf '#!/bin/sh\necho old\n' >"$T/bin/qemu-system-x86_64"
	rtx 1 check
	[[ $output == *"fail  qemu"*"no microvm machine with device"* ]]
	RUNSM_ACCEL=kvm rtx 1 check
	[[ $output == *"fail  machine"* ]]
	rm "$T/guest/manifest.json"
	rtx 1 check --format json
	[ "$(jq -r '.checks[] | select(.name == "guest").status' <<<"$output")" = fail ]
}

@test "a pid file that cannot be written fails the create" {
	rtx 1 create --bundle "$T/b" --pid-file "$T/nope/pid" c
	[[ $stderr == *"pid file"* ]]
	nothing_left
}

@test "verbs that are not there yet say so and are in neither help nor features" {
	for verb in checkpoint restore; do
		rtx 1 "$verb" c
		[[ $stderr == *"not supported yet"* ]]
		rtx 0 --help
		[[ $output != *"   $verb "* ]]
		rtx 0 features
		[[ $output != *"\"$verb\""* ]]
	done
	rtx 3 nonsense
}

@test "spec writes what runc spec writes and does not overwrite" {
	command -v runc || skip "runc is not installed"
	mkdir "$T/x" "$T/y"
	rtx 0 spec --bundle "$T/x"
	rtx 1 spec --bundle "$T/x"
	[[ $stderr == *"config.json exists"* ]]
	(cd "$T/y" && runc spec)
	diff <(jq -S 'del(.ociVersion, .hostname)' "$T/x/config.json") \
		<(jq -S 'del(.ociVersion, .hostname)' "$T/y/config.json")
}

# shellcheck disable=SC2154
src() { cd "$BATS_TEST_DIRNAME/.." && pwd; }

@test "every command and option has its place in the man pages" {
	local verb opt page
	rtx 0 --help
	for opt in $(awk '/^   --/ { print $1 }' <<<"$output" | tr -d ,); do
		grep -qF -- "${opt//-/\\-}" "$(src)/man/runsm.8" || { echo "$opt" >&2; false; }
	done
	for verb in $(awk '/^COMMANDS:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }' <<<"$output"); do
		page=$(src)/man/runsm-$verb.8
		grep -q "runsm-$verb (8)" <(tr -d '\\' <"$(src)/man/runsm.8")
		rtx 0 "$verb" --help
		for opt in $(awk '/^   --/ { print $1 }' <<<"$output" | tr -d ,); do
			grep -qF -- "${opt//-/\\-}" "$page" || { echo "$verb $opt" >&2; false; }
		done
	done
}

@test "bash completes commands, options and container ids" {
	create
	# shellcheck source=contrib/completions/runsm.bash
	source "$(src)/contrib/completions/runsm.bash"
	complete_words() {
		COMP_WORDS=(runsm "$@")
		COMP_CWORD=$#
		_runsm
		echo "${COMPREPLY[*]}"
	}
	[ "$(complete_words cr)" = create ]
	[ "$(complete_words exec --user)" = --user ]
	[ "$(complete_words --root "$T/root" kill '')" = c ]
	[ "$(complete_words guest '')" = "build info" ]
}

@test "every field that is refused or ignored is on the page of limitations" {
	local name
	for name in $(sed -n 's/.*OCI_\(IGNORE\|REFUSE\|REFUSE_ANY\)("\([A-Za-z0-9]*\)".*/\2/p' "$(src)"/src/runtime/oci_*.c); do
		grep -q "\`[a-z.]*\(\[\]\.\)\?$name\`" "$(src)/docs/limitations.md" || { echo "$name" >&2; false; }
	done
}

@test "every line on the page of limitations names a test that there is" {
	local line file title n=0
	while read -r line; do
		[[ $line == *"<!-- "*": "*" -->"* ]] || { echo "no test: $line" >&2; false; }
		line=${line##*<!-- }
		file=${line%%: *}
		title=${line#*: }
		title=${title%% -->*}
		grep -qF -e "$title" "$(src)/$file" || { echo "not in $file: $title" >&2; false; }
		n=$((n + 1))
	done < <(grep -E '^(- |\| [^-])' "$(src)/docs/limitations.md" | grep -v '^| field |')
	[ "$n" -gt 30 ]
}

@test "options that have no effect are taken, those that cannot be had are refused" {
	rt --rootless true --criu /x create --bundle "$T/b" --no-pivot \
		--no-new-keyring --pid-file "$T/c.pid" c </dev/null >"$T/out" 2>"$T/err"
	rtx 0 start c
	rtx 0 exec --process-label x --apparmor y c 0
	rtx 255 exec --cgroup memory:/x c 0
	[[ $stderr == *'unknown controller memory'* ]]
	rtx 0 ps c -ef
	rtx 1 ps c -el
	[[ $stderr == *"option '-l'"* ]]
}
