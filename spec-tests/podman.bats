#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=client
# Podman, with the runtime by path and no network.

load helpers
load clients
load docker_cli
load docker_options

setup_file() { client_up podman; }
teardown_file() { client_down; }

@test "podman run gives both streams and the exit code" { check_run; }

@test "podman run ends with 125, 126, 127 and 128 + the signal as with runc" { check_exit_codes; }

@test "podman run -d, logs, stop: output is kept, SIGTERM is honoured" { check_run_d_logs; }

@test "podman exec: streams, exit codes, user, directory, environment, stdin, detached" { check_exec; }

@test "podman stop -t ends what ignores SIGTERM; start again; rm -f" { check_stop_rm; }

@test "podman kill -s sends signals by name and number; --stop-signal" { check_kill; }

@test "podman run --init: SIGTERM ends the program with 143" { check_init; }

@test "podman pause and unpause" { check_pause; }

@test "podman wait gives the exit code, while it runs and afterwards" { check_wait; }

@test "podman run passes signals on to the container" { check_signal_proxy; }

@test "podman notices a VM that was killed, and removes one that hangs" { check_killed_vm; }

@test "podman run --restart, restart" { check_restart; }

@test "podman attach gives the container its stdin" { check_attach; }

@test "podman run -i: 20 MiB each way, the end of stdin, a quick end" { check_big_streams; }

@test "podman run -it: size, job control, detach, attach, exit code" { check_tty; }

@test "podman exec -it: size, input, exit code" { check_exec_tty; }

@test "podman diff and commit see what the container changed" { check_diff_commit; }

@test "podman run --user, --group-add" { check_user; }

@test "podman run --cap-add, --cap-drop" { check_caps; }

@test "podman run --privileged" { check_privileged; }

@test "podman run --read-only, --tmpfs" { check_read_only; }

@test "podman run --ulimit" { check_ulimit; }

@test "podman run --memory, --cpus, --pids-limit" { check_limits; }

@test "podman run --memory: a program that takes more: 137; OOMKilled is false, events knows" {
	runsm_only # with runc it depends on the version of conmon and of the host's cgroups
	check_oom false
}

@test "podman run -e, -w, --hostname, --entrypoint" { check_env_workdir; }

@test "podman run -v: directory, file, read-only, by name" { check_volumes; }

@test "podman run -v DIR:DIR:O, --mount type=image: overlays of the host" {
	mkdir "$T/d"
	echo host >"$T/d/f"
	fg 0 -v "$T/d:/d:O" --mount type=image,src=box,dst=/image,rw=true box sh -c \
		'cat /d/f; echo changed >/d/f; cat /d/f; echo x >/image/x && cat /image/x; ls /image/bin/sh'
	is "host
changed
x
/image/bin/sh" "$output"
	is host "$(cat "$T/d/f")"
	[ ! -e "$T/d/x" ]
}

@test "podman run --systemd=always: cgroups and /run are writable" {
	fg 0 --systemd=always box sh -c 'mkdir /sys/fs/cgroup/unit && touch /run/f /run/lock/f && echo made'
	is made "$output"
}

@test "podman build: RUN in a VM, as the image says, and its exit code" {
	printf '%s\n' 'FROM box' 'ARG what' 'RUN mkdir /made && echo $what >/made/f && uname -n >/dev/null' \
		'USER 1000:1000' 'WORKDIR /made' 'RUN pwd; id -u; cat f; touch x || echo refused' >"$T/Containerfile"
	clx 0 build --network none --build-arg what=argument -t "built$ID" -f "$T/Containerfile" "$T"
	matches $'/made\n1000\nargument\n' "$output"
	has refused "$output"
	fg 0 "built$ID" cat f
	is argument "$output"
	cl rmi "built$ID" >/dev/null
	printf 'FROM box\nRUN exit 7\n' >"$T/Containerfile"
	run cl build --network none -f "$T/Containerfile" "$T"
	matches 'exit status 7' "$output"
}

@test "podman run --security-opt seccomp: default, unconfined, a profile" { check_seccomp; }

@test "podman run --sysctl, --device" { check_sysctl_device; }

@test "podman run makes the usual mounts and files" { check_default_mounts; }

@test "podman diff, export and mount of a running container show what it has written" {
	up -v "$T:/vol" box sleep 1000
	sh_ctr 'echo written >/tmp/w; rm /etc/group; mkdir /made; echo v >/vol/v'
	cl diff "$ID" >"$T/diff"
	grep -qx "A /tmp/w" "$T/diff"
	grep -qx "D /etc/group" "$T/diff"
	grep -qx "A /made" "$T/diff"
	cl export "$ID" >"$T/export.tar"
	is written "$(tar -xOf "$T/export.tar" tmp/w)"
	hasnt '^vol/v$' "$(tar -tf "$T/export.tar")"
	local root
	root=$(cl mount "$ID")
	is written "$(in_ns cat "$root/tmp/w")"
	cl umount "$ID" >/dev/null
	is running "$(inspect '{{.State.Status}}')"
}

@test "podman top with options of ps shows the container's processes; without, no others" {
	up box sh -c 'sleep 4321 & wait'
	cl top "$ID" -o pid,args >"$T/top"
	grep -qx ' *1 sh -c sleep 4321 & wait' "$T/top"
	grep -q ' sleep 4321$' "$T/top"
	runsm_only
	cl top "$ID" >"$T/top"
	is 1 "$(wc -l <"$T/top")" "nothing but a heading"
}

@test "podman healthcheck run" {
	up --health-cmd 'test -e /healthy' --health-interval disable box sleep 1000
	clx 1 healthcheck run "$ID"
	sh_ctr 'touch /healthy'
	clx 0 healthcheck run "$ID"
}

@test "podman stats reads the cgroup of the VM" { check_stats; }

@test "podman run with a network is refused by name" { check_no_nic 126; }
