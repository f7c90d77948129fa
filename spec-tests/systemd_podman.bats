#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=client
# Podman with --cgroup-manager systemd, where a systemd is PID 1.

load helpers
load clients
load systemd_clients
load docker_cli
load docker_options

setup_file() { client_up podman; }
teardown_file() { client_down; }

@test "podman, systemd: a container is a scope in machine.slice" { check_unit machine.slice libpod; }

@test "podman, systemd: run gives both streams and the exit code" { check_run; }

@test "podman, systemd: run --memory, --cpus, --pids-limit" { check_limits; }
