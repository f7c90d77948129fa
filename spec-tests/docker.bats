#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=client
# Docker, with the runtime by path and no network.

load helpers
load clients
load docker_cli
load docker_options

setup_file() { client_up docker; }
teardown_file() { client_down; }

@test "docker run gives both streams and the exit code" { check_run; }

@test "docker run ends with 125, 126, 127 and 128 + the signal as with runc" { check_exit_codes; }

@test "docker run -d, logs, stop: output is kept, SIGTERM is honoured" { check_run_d_logs; }

@test "docker exec: streams, exit codes, user, directory, environment, stdin, detached" { check_exec; }

@test "docker stop -t ends what ignores SIGTERM; start again; rm -f" { check_stop_rm; }

@test "docker kill -s sends signals by name and number; --stop-signal" { check_kill; }

@test "docker run --init: SIGTERM ends the program with 143" { check_init; }

@test "docker pause and unpause" { check_pause; }

@test "docker wait gives the exit code, while it runs and afterwards" { check_wait; }

@test "docker run passes signals on to the container" { check_signal_proxy; }

@test "docker notices a VM that was killed, and removes one that hangs" { check_killed_vm; }

@test "docker run --restart, restart" { check_restart; }

@test "docker attach gives the container its stdin" { check_attach; }

@test "docker run -i: 20 MiB each way, the end of stdin, a quick end" { check_big_streams; }

@test "docker run -it: size, job control, detach, attach, exit code" { check_tty; }

@test "docker exec -it: size, input, exit code" { check_exec_tty; }

@test "docker cp both ways, of a running container and of a stopped one" { check_cp; }

@test "docker diff and commit see what the container changed" { check_diff_commit; }

@test "docker run --user, --group-add" { check_user; }

@test "docker run --cap-add, --cap-drop" { check_caps; }

@test "docker run --privileged" { check_privileged; }

@test "docker run --read-only, --tmpfs" { check_read_only; }

@test "docker run --ulimit" { check_ulimit; }

@test "docker run --memory, --cpus, --pids-limit" { check_limits; }

@test "docker run --memory: a program that takes more: 137; OOMKilled is false, events knows" {
	check_oom "$(if is_runsm; then echo false; else echo true; fi)"
}

@test "docker update --memory, --pids-limit, --cpu-shares" { check_update; }

@test "docker run -e, -w, --hostname, --entrypoint" { check_env_workdir; }

@test "docker run -v: directory, file, read-only, by name" { check_volumes; }

@test "docker run --security-opt seccomp: default, unconfined, a profile" { check_seccomp; }

@test "docker run --sysctl, --device" { check_sysctl_device; }

@test "docker run makes the usual mounts and files" { check_default_mounts; }

@test "docker run --health-cmd" {
	up --health-cmd 'test -e /healthy' --health-interval 1s --health-retries 1 box sleep 1000
	wait_for 30 eval '[ "$(inspect "{{.State.Health.Status}}")" = unhealthy ]'
	sh_ctr 'touch /healthy'
	wait_for 30 eval '[ "$(inspect "{{.State.Health.Status}}")" = healthy ]'
}

@test "docker top shows what stands for the container, exec ps what is in it" {
	up box sh -c 'sleep 4321 & wait'
	cl exec -d "$ID" sleep 77
	cl top "$ID" -o pid,args >"$T/top"
	if is_runsm; then
		is 2 "$(wc -l <"$T/top")"
		matches "^$(inspect '{{.State.Pid}}') .*runsm-vmm" "$(tail -n 1 "$T/top")"
	else
		grep -q 'sleep 4321' "$T/top"
	fi
	sh_ctr 'ps -o args' >"$T/ps"
	grep -qx 'sleep 4321' "$T/ps"
	grep -qx 'sleep 77' "$T/ps"
}

@test "docker diff and export of a running container show what it has written" {
	up box sleep 1000
	sh_ctr 'echo written >/tmp/w; rm /etc/group; mkdir /made'
	cl diff "$ID" >"$T/diff"
	grep -qx "A /tmp/w" "$T/diff"
	grep -qx "D /etc/group" "$T/diff"
	grep -qx "A /made" "$T/diff"
	cl export "$ID" >"$T/export.tar"
	is written "$(tar -xOf "$T/export.tar" tmp/w)"
}

@test "docker stats reads the cgroup of the VM" { check_stats; }

@test "docker run with a network is refused by name" { check_no_nic 125; }
