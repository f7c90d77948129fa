#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=client,tcg
# Podman of an ordinary user: a user namespace with subordinate ids, no rights on the host's cgroups,
# state below XDG_RUNTIME_DIR.

load helpers
load clients
load docker_cli
load docker_options

setup_file() { client_up rootless; }
teardown_file() { client_down; }

# user_dir NAME: $T/NAME, a directory of the user's
user_dir() {
	chmod 755 "$BATS_RUN_TMPDIR/test" "$T"
	mkdir "$T/$1"
	chown $ROOTLESS_ID:$ROOTLESS_ID "$T/$1"
}

owner() { stat -c '%u %g' "$1"; }

@test "rootless podman run gives both streams and the exit code" { check_run; }

@test "rootless podman run ends with 125, 126, 127 and 128 + the signal" { check_exit_codes; }

@test "rootless podman run -d, logs, stop: output is kept, SIGTERM is honoured" { check_run_d_logs; }

@test "rootless podman exec: streams, exit codes, user, directory, environment, stdin, detached" {
	check_exec
}

@test "rootless podman stop -t ends what ignores SIGTERM; start again; rm -f" { check_stop_rm; }

@test "rootless podman kill, wait" {
	check_kill
	cl rm "$ID"
	check_wait
}

@test "rootless podman notices a VM that was killed, and removes one that hangs" { check_killed_vm; }

@test "rootless podman run -it: size, job control, detach, attach, exit code" { check_tty; }

@test "rootless podman diff and commit see what the container changed" { check_diff_commit; }

@test "rootless podman run --user, --group-add" { check_user; }

@test "rootless podman run --read-only, --tmpfs" { check_read_only; }

@test "rootless podman run -v: what the container's users make is the user's and the subordinate ids'" {
	user_dir d
	echo single >"$T/single"
	fg 0 -v "$T/d:/d" -v "$T/single:/single:ro" box sh -c 'cat /single; echo root >/d/root
		echo 1 >/d/one; chown 1:2 /d/one; mkdir /d/sub; chmod 777 /d/sub
		echo x 2>/dev/null >/single || echo "ro: refused"'
	is "single
ro: refused" "$output"
	is "$ROOTLESS_ID $ROOTLESS_ID" "$(owner "$T/d/root")"
	is "$ROOTLESS_SUBID $((ROOTLESS_SUBID + 1))" "$(owner "$T/d/one")"
	fg 0 --user 1000:2000 -v "$T/d:/d" box sh -c 'id -u; echo mine >/d/sub/mine; stat -c "%u %g" /d/sub/mine
		cat /d/root; echo no 2>/dev/null >>/d/root || echo "not mine"'
	is "1000
1000 2000
root
not mine" "$output"
	is "$((ROOTLESS_SUBID + 999)) $((ROOTLESS_SUBID + 1999))" "$(owner "$T/d/sub/mine")"
}

# There is no such id in the user's namespace, whatever the guest's kernel thinks.
@test "rootless podman run: a file cannot be given to an id that the user has not got" {
	fg 1 box sh -c 'touch /f; chown 65536 /f && stat -c %u /f; chown 65537 /f'
	is 65536 "$output"
	matches 'invalid argument' "$stderr"
}

@test "rootless podman run --userns=keep-id: the container's user is the one outside" {
	user_dir d
	fg 0 --userns=keep-id -v "$T/d:/d" box sh -c 'id -u; echo k >/d/k; stat -c %u /d /d/k'
	is "$ROOTLESS_ID
$ROOTLESS_ID
$ROOTLESS_ID" "$output"
	is "$ROOTLESS_ID $ROOTLESS_ID" "$(owner "$T/d/k")"
}

@test "rootless podman cp of a running container, with a new mount point" {
	user_dir d
	echo host >"$T/f"
	up -v "$T/d:/new/d" box sleep 1000
	sh_ctr 'echo guest >/tmp/g; chown 7:7 /tmp/g'
	cl cp "$ID:/tmp/g" "$T/d/g"
	is guest "$(cat "$T/d/g")"
	cl cp "$T/f" "$ID:/tmp/f"
	wait_for 20 sh_ctr 'grep -qx host /tmp/f'
	cl cp "$T/f" "$ID:/new/d/f"
	is host "$(cat "$T/d/f")"
	is "$ROOTLESS_ID $ROOTLESS_ID" "$(owner "$T/d/f")"
}

@test "rootless podman: runsm-vmm is the user's, in namespaces and a root of its own" {
	runsm_only
	up box sleep 1000
	local pid ns
	pid=$(inspect '{{.State.Pid}}')
	is "$ROOTLESS_ID" "$(awk '$1 == "Uid:" { print $2 }' "/proc/$pid/status")"
	is 1 "$(awk '$1 == "NoNewPrivs:" { print $2 }' "/proc/$pid/status")"
	is 2 "$(awk '$1 == "Seccomp:" { print $2 }' "/proc/$pid/status")"
	is proc "$(ls "/proc/$pid/root/")"
	for ns in net ipc uts pid mnt user; do
		[ "$(readlink "/proc/$pid/ns/$ns")" != "$(readlink "/proc/self/ns/$ns")" ]
	done
	is overlay "$(inspect '{{.GraphDriver.Name}}')"
	# state is the user's alone
	is "700 $ROOTLESS_ID" "$(stat -c '%a %u' "$C/user/xdg/runsm")"
	cl rm -f -t 0 "$ID"
	is "" "$(ls "$C/user/xdg/runsm")"
}

@test "rootless podman run --device gives devices that the guest has, and refuses others by name" {
	runsm_only
	fg 0 --device /dev/zero:/dev/nix box sh -c 'head -c 5 /dev/nix | wc -c; stat -c %t:%T /dev/nix'
	is $'5\n1:5' "$output"
	fg 126 --privileged box true
	matches "is a device, which cannot be given to a VM" "$stderr"
}

@test "rootless podman run on the vfs storage driver" {
	ROOTLESS_STORAGE=vfs
	CLIENT_CMD=("${CLIENT_CMD[@]//overlay/vfs}")
	CLIENT_CMD=("${CLIENT_CMD[@]//user\/root/user\/vfs}")
	cl import "$C/box.tar" box >/dev/null
	fg 3 box sh -c 'echo written >/f; cat /f; exit 3'
	is written "$output"
}
