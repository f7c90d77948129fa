#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Real clients for the spec-tests: podman, dockerd and containerd, with the runtime under test. A file
# of tests loads this after helpers and names its client:
#
#	setup_file() { client_up podman; }
#
# One client is started per file, in a mount and a network namespace of its own with a /run of its
# own, and keeps everything it has under $C, the file's directory: nothing of it touches the
# machine's own Docker, Podman or containerd. `in_ns COMMAND…` runs a command there and `cl ARG…`
# the client's command line. The image `box` is the busybox root file system with the probe.
#
# The client calls a script that sets runsm's environment (clients filter theirs) and leaves
# RSM_CLIENT_TAG in it, by which everything that the runtime started is found again. Each test ends
# by removing its containers and looking for what they left: processes of the runtime, state,
# mounts and cgroups. The file ends by stopping the daemon by its pid and looking for all the rest.
#
# With RUNSM_RUNTIME=runc the client uses runc: the tests tell what runc gives.

# shellcheck source=spec-tests/helpers.bash
[ -n "${SPEC_DIR:-}" ] || source "$(dirname "${BASH_SOURCE[0]}")/helpers.bash"

# ---------------------------------------------------------------- a client for a file

# client_up podman|rootless|docker|containerd: in setup_file
client_up() {
	need is_root -- "needs root"
	client_needs "$1"
	export CLIENT=$1 C=$BATS_FILE_TMPDIR
	export CLIENT_CGROUP=rsmc-$$-$1
	export CLIENT_TAG=RSM_CLIENT_TAG=rsmc-$$-${BATS_TEST_FILENAME##*/}
	ROOT=/run/runsm BUNDLE=
	mkdir -p "$C/bin"
	! is_runsm || guest_image
	"client_cmd_$1"
	client_ns
	client_runtime >"$C/bin/runsm"
	chmod +x "$C/bin/runsm"
	client_image
	"client_up_$1"
}

client_needs() {
	case $1 in
	podman) need command -v podman -- "needs podman" ;;
	rootless)
		need command -v podman -- "needs podman"
		need command -v newuidmap -- "needs newuidmap (uidmap)"
		need command -v setpriv -- "needs setpriv"
		;;
	docker) need command -v dockerd -- "needs dockerd (docker.io)" ;;
	containerd) need command -v ctr -- "needs containerd" ;;
	esac
}

# The namespaces live as long as a process that sleeps in them.
client_ns() {
	# shellcheck disable=SC2016
	unshare -m -n --propagation private sh -c 'ip link set lo up && mount -t tmpfs tmpfs /run &&
		mkdir /run/lock && touch "$1" && exec sleep infinity' sh "$C/ns.ready" 3>&- 4>&- &
	export CLIENT_NS=$!
	wait_for 10 test -e "$C/ns.ready"
}

client_ns_down() {
	kill "$CLIENT_NS"
	wait "$CLIENT_NS" 2>/dev/null
}

in_ns() { nsenter -t "$CLIENT_NS" -m -n -- "$@" 3>&- 4>&-; }

# client_daemon COMMAND…: in the background; client_daemon_stop ends it
client_daemon() {
	nsenter -t "$CLIENT_NS" -m -n -- "$@" </dev/null >"$C/daemon.log" 2>&1 3>&- 4>&- &
	export CLIENT_DAEMON=$!
}

client_daemon_stop() {
	kill "$CLIENT_DAEMON"
	wait "$CLIENT_DAEMON"
}

# What the client runs as its runtime
client_runtime() {
	cat <<-EOF
		#!/bin/sh
		export '$CLIENT_TAG' RUNSM_ACCEL='$RUNSM_ACCEL' RUNSM_GUEST_DIR='${RUNSM_GUEST_DIR:-}'
		echo "\$*" >>'$C/calls'
		exec '$(command -v "$RUNTIME")' "\$@"
	EOF
}

# $C/box.tar: a root file system as a tar archive
client_image() {
	cached busybox make_busybox
	mkdir "$C/probe"
	mkdir -p "$C/probe/bin"
	cp "$RUNSM_BUILD/spec-tests/probe/probe" "$C/probe/bin/"
	tar -C "$CACHE/busybox" -cf "$C/box.tar" .
	tar -C "$C/probe" -rf "$C/box.tar" ./bin/probe
}

# client_down: in teardown_file
client_down() {
	local rc=0 left end=$((SECONDS + 10))
	[ -n "${CLIENT_NS:-}" ] || return 0
	"client_down_$CLIENT" || rc=1
	while left=$(client_processes "$C/"); [ -n "$left" ]; do
		if [ $SECONDS -ge $end ]; then
			printf 'left behind by %s:\n%s\n' "$CLIENT" "$left" >&2
			sed -n 's/^\([0-9]*\) .*/\1/p' <<<"$left" | xargs -r kill -9
			rc=1
			break
		fi
		sleep 0.1
	done
	find /sys/fs/cgroup -maxdepth 2 -depth -name "$CLIENT_CGROUP" -exec rmdir {} + || rc=1
	client_ns_down
	client_unmount
	return $rc
}

# The mounts end with their namespace; a directory may still be one in some other namespace that was
# made meanwhile, and then cannot be removed.
client_unmount() {
	local m
	while read -r m; do
		umount -l "$m"
	done < <(awk -v c="$C/" 'index($5, c) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
}

# client_processes [PATH]: the pids and command lines of what the runtime started, and of processes
# with PATH on their command line
client_processes() {
	local pid
	for pid in $({
		printf '%s\n' "$CLIENT_TAG" | grep -lazsxFf - /proc/[0-9]*/environ
		[ -z "${1:-}" ] || printf '%s\n' "$1" | grep -lazsFf - /proc/[0-9]*/cmdline
	} | tr -dc '0-9\n' | sort -un); do
		client_knows "$pid" || echo "$pid $(tr '\0' ' ' <"/proc/$pid/cmdline")"
	done 2>/dev/null
}

# Is it a shell of bats, a command of this test's own, or gone?
client_knows() {
	local cmd
	is_ours "$1" && return
	[ "$1" = "$CLIENT_NS" ] && return
	cmd=$(tr '\0' ' ' <"/proc/$1/cmdline") || return 0
	[[ $cmd == *bats-exec-* || -z $cmd ]]
}

# ---------------------------------------------------------------- a test

setup() {
	T=$BATS_TEST_TMPDIR
	ROOT=/run/runsm
	ID=rsmc-$BATS_SUITE_TEST_NUMBER-$$
	OUR_MOUNTS=()
	OUR_PIDS=()
	: >"$C/calls"
}

teardown() {
	local rc=0 pid ids left end
	[ -n "${CLIENT_NS:-}" ] || return 0
	for pid in "${OUR_PIDS[@]}"; do
		kill -9 "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	ids=$(client_ids)
	client_remove_all || { echo "cannot remove the test's containers" >&2; rc=1; }
	end=$((SECONDS + 10))
	while left=$(client_leftovers "$ids"); [ -n "$left" ]; do
		if [ $SECONDS -ge $end ]; then
			printf 'left behind:\n%s\n' "$left" >&2
			sed -n 's/^process \([0-9]*\) .*/\1/p' <<<"$left" | xargs -r kill -9
			in_ns find /run/runsm /run/runc -mindepth 1 -delete 2>/dev/null
			rc=1
			break
		fi
		sleep 0.1
	done
	if [ $rc != 0 ] || [ -z "${BATS_TEST_COMPLETED:-}" ]; then
		sed 's/^/call: /' "$C/calls" >&2
		[ ! -e "$C/daemon.log" ] || grep level=error "$C/daemon.log" | tail -n 10 >&2
	fi
	return $rc
}

# client_leftovers IDS: what containers left
client_leftovers() {
	local id
	client_processes | sed 's/^/process /'
	in_ns find /run/runsm /run/runc "$C/user/xdg/runsm" -mindepth 1 -maxdepth 1 -printf 'state: %p\n' 2>&1 |
		grep ^state:
	in_ns awk -v c="$C/" 'index($5, c) == 1 { print "mount: " $5 }' /proc/self/mountinfo |
		grep -vxFf "$C/mounts" |
		# dockerd keeps the one, podman at times the other, its whole store bound onto itself
		grep -v -e '/netns/default$' -e '/file/[0-9]*/root/overlay$'
	for id in $1; do
		find /sys/fs/cgroup -name "*$id*" -printf 'cgroup: %p\n' 2>/dev/null
	done
}

# ---------------------------------------------------------------- commands

# cl ARG…: the client's command line, against a time limit
cl() { in_ns timeout --foreground -k 5 "${CL_TIMEOUT:-60}" "${CLIENT_CMD[@]}" "$@"; }

# clx STATUS ARG…: cl with stdin empty must exit with STATUS; sets $output and $stderr
clx() {
	local want=$1
	shift
	run --separate-stderr "-$want" cl "$@" </dev/null || :
	[ "$status" = "$want" ] && return
	echo "$CLIENT $*: exit status $status, expected $want" >&2
	printf 'stdout: %s\nstderr: %s\n' "$output" "$stderr" >&2
	return 1
}

# on_tty COMMAND…: with a terminal, whose output is printed without CRs, nor the echo of the end of
# file that script(1) types at some moment
on_tty() {
	local line
	printf -v line '%q ' "$@"
	script -qec "$line" /dev/null 3>&- 4>&- </dev/null | tr -d '\r' | sed 's/\^[@D]//g'
	return "${PIPESTATUS[0]}"
}

# ---------------------------------------------------------------- podman

client_up_podman() {
	cat >"$C/containers.conf" <<-EOF
		[containers]
		default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
		init_path = "/usr/bin/tini-static"
		[engine]
		cgroup_manager = "${CLIENT_CGROUPS:-cgroupfs}"
		events_logger = "file"
		runtime_supports_json = ["runsm"]
		[engine.runtimes]
		runsm = ["$C/bin/runsm"]
	EOF
	cl import "$C/box.tar" box >/dev/null
	client_base
}

client_cmd_podman() {
	CLIENT_CMD=(env CONTAINERS_CONF="$C/containers.conf" podman
		--root "$C/root" --runroot "$C/runroot" --tmpdir "$C/tmp" --runtime "$C/bin/runsm")
}

client_ids_podman() { cl ps -aq --no-trunc; }
client_remove_all_podman() { cl rm -af -t 0 >/dev/null; }
client_down_podman() { client_remove_all_podman; }

# ---------------------------------------------------------------- podman of an ordinary user

# A user of the client's namespace only, with a home, a runtime directory and subordinate ids; the
# first of those is 1 in the user's containers.
ROOTLESS_ID=54321
ROOTLESS_SUBID=600000

client_up_rootless() {
	local file
	mkdir -p "$C/etc" "$C/user/home" "$C/user/xdg"
	for file in passwd group; do cp "/etc/$file" "$C/etc"; done
	echo "rsmc:x:$ROOTLESS_ID:$ROOTLESS_ID::$C/user/home:/bin/sh" >>"$C/etc/passwd"
	echo "rsmc:x:$ROOTLESS_ID:" >>"$C/etc/group"
	echo "rsmc:$ROOTLESS_SUBID:65536" | tee "$C/etc/subuid" >"$C/etc/subgid"
	for file in passwd group subuid subgid; do
		in_ns mount --bind "$C/etc/$file" "/etc/$file"
	done
	chown -R $ROOTLESS_ID:$ROOTLESS_ID "$C/user"
	chmod 700 "$C/user/xdg"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/file" "$C"
	touch "$C/calls"
	chmod 666 "$C/calls"
	cat >"$C/containers.conf" <<-EOF
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		runtime_supports_json = ["runsm"]
	EOF
	cl import "$C/box.tar" box >/dev/null
	client_base
}

client_cmd_rootless() {
	CLIENT_CMD=(env -C / setpriv --reuid=$ROOTLESS_ID --regid=$ROOTLESS_ID --clear-groups
		env HOME="$C/user/home" XDG_RUNTIME_DIR="$C/user/xdg" CONTAINERS_CONF="$C/containers.conf"
		podman --root "$C/user/root" --runroot "$C/user/runroot" --tmpdir "$C/user/tmp"
		--storage-driver "${ROOTLESS_STORAGE:-overlay}" --runtime "$C/bin/runsm")
}

client_ids_rootless() { cl ps -aq --no-trunc; }
client_remove_all_rootless() { cl rm -af -t 0 >/dev/null; }

# Podman keeps a process that holds its user and mount namespace.
client_down_rootless() {
	client_remove_all_rootless
	cl system migrate
}

# ---------------------------------------------------------------- docker

client_up_docker() {
	local parent=""
	[ "${CLIENT_CGROUPS:-cgroupfs}" = systemd ] || parent="\"cgroup-parent\": \"$CLIENT_CGROUP\","
	cat >"$C/daemon.json" <<-EOF
		{"data-root": "$C/data", "exec-root": "$C/exec", "pidfile": "$C/docker.pid",
		 "hosts": ["unix://$C/docker.sock"], "storage-driver": "overlay2",
		 "exec-opts": ["native.cgroupdriver=${CLIENT_CGROUPS:-cgroupfs}"], $parent
		 "default-runtime": "runsm", "runtimes": {"runsm": {"path": "$C/bin/runsm"}}}
	EOF
	client_daemon dockerd --config-file "$C/daemon.json"
	wait_for 30 cl version >/dev/null 2>&1 || { tail -n 20 "$C/daemon.log" >&2; return 1; }
	cl import "$C/box.tar" box >/dev/null
	client_base
}

client_cmd_docker() { CLIENT_CMD=(docker --config "$C/docker" --host "unix://$C/docker.sock"); }

client_ids_docker() { cl ps -aq --no-trunc; }
client_remove_all_docker() {
	local ids
	ids=$(cl ps -aq)
	[ -z "$ids" ] || cl rm -fv $ids >/dev/null
}

client_down_docker() {
	client_remove_all_docker
	client_daemon_stop
}

# ---------------------------------------------------------------- containerd

client_up_containerd() {
	cat >"$C/config.toml" <<-EOF
		version = 2
		root = "$C/root"
		state = "$C/state"
		disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
		[grpc]
		  address = "$C/c.sock"
	EOF
	client_daemon containerd --config "$C/config.toml"
	wait_for 30 cl version >/dev/null 2>&1 || { tail -n 20 "$C/daemon.log" >&2; return 1; }
	client_archive
	cl image import "$C/archive.tar" >/dev/null
	client_base
}

client_cmd_containerd() { CLIENT_CMD=(ctr --address "$C/c.sock"); }

# $C/archive.tar: the image in the format of docker save
client_archive() {
	local sum
	sum=$(sha256sum <"$C/box.tar" | cut -d' ' -f1)
	mkdir "$C/archive"
	mv "$C/box.tar" "$C/archive/layer.tar"
	jq -n --arg sum "sha256:$sum" '{architecture: "amd64", os: "linux", config: {Cmd: ["sh"],
		Env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}, rootfs: {type: "layers", diff_ids: [$sum]}}' \
		>"$C/archive/config.json"
	jq -n '[{Config: "config.json", RepoTags: ["localhost/box:latest"], Layers: ["layer.tar"]}]' \
		>"$C/archive/manifest.json"
	tar -C "$C/archive" -cf "$C/archive.tar" manifest.json config.json layer.tar
}

client_ids_containerd() { cl container ls -q; }

client_remove_all_containerd() {
	local id
	for id in $(cl task ls -q); do
		cl task kill -s KILL -a "$id" >/dev/null 2>&1 || :
		cl task rm -f "$id" >/dev/null || return
	done
	for id in $(cl container ls -q); do
		cl container rm "$id" || return
	done
}

client_down_containerd() {
	client_remove_all_containerd
	client_daemon_stop
}

# ---------------------------------------------------------------- by client

client_ids() { "client_ids_$CLIENT"; }
client_remove_all() { "client_remove_all_$CLIENT"; }

# What is mounted when no container is there.
client_base() {
	in_ns awk -v c="$C/" 'index($5, c) == 1 { print "mount: " $5 }' /proc/self/mountinfo \
		>"$C/mounts"
	echo none >>"$C/mounts"
}

[ -z "${CLIENT:-}" ] || "client_cmd_$CLIENT"
