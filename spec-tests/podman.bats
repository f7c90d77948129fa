#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=client
# Podman, with the runtime by path and no network.

load helpers
load clients
load docker_cli

setup_file() { client_up podman; }
teardown_file() { client_down; }

@test "podman run gives both streams and the exit code" { check_run; }

@test "podman run ends with 125, 126, 127 and 128 + the signal as with runc" { check_exit_codes; }

@test "podman run -d, logs, stop: output is kept, SIGTERM is honoured" { check_run_d_logs; }

@test "podman exec: streams, exit codes, user, directory, environment, stdin, detached" { check_exec; }

@test "podman stop -t ends what ignores SIGTERM; start again; rm -f" { check_stop_rm; }
