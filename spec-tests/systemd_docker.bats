#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=client
# Docker with native.cgroupdriver=systemd, where a systemd is PID 1.

load helpers
load clients
load systemd_clients
load docker_cli
load docker_options

setup_file() { client_up docker; }
teardown_file() { client_down; }

@test "docker, systemd: a container is a scope in system.slice" { check_unit system.slice docker; }

@test "docker, systemd: run gives both streams and the exit code" { check_run; }

@test "docker, systemd: run --memory, --cpus, --pids-limit" { check_limits; }

@test "docker, systemd: update" { check_update; }
