#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Options of `run` that docker and podman have in common, as one function per test; see
# docker_cli.bash.

check_user() {
	fg 0 --user 1000:2000 --group-add 3000 box id
	is "uid=1000(tester) gid=2000(extra) groups=2000(extra),3000" "${output/,1000(tester)/}"
	fg 0 --user tester box sh -c 'id -u; id -g; echo $HOME'
	is "1000
1000
/home/tester" "$output"
}

caps() { awk '/^Cap(Prm|Eff|Bnd)/ { print $2 }' <<<"$output" | sort -u; }

check_caps() {
	fg 0 --cap-drop ALL --cap-add NET_ADMIN --cap-add CHOWN box cat /proc/self/status
	is 0000000000001001 "$(caps)"
	fg 1 --cap-drop CHOWN box chown 1:1 /tmp
	fg 0 --cap-add NET_ADMIN box ip link set lo mtu 1400
}

# All of the VM: runc gives the host's devices and needs all rights of the host, and here has neither.
check_privileged() {
	runsm_only
	fg 0 --privileged box sh -ec 'mount -t tmpfs none /tmp; umount /tmp; hostname inside; hostname
		echo 1 >/proc/sys/net/ipv4/ip_forward; : </dev/fuse; head -c 1 /dev/kmsg >/dev/null'
	is inside "$output"
}

check_read_only() {
	fg 1 --read-only box touch /f
	matches "read-only file system" "$stderr"
	fg 0 --read-only --tmpfs /scratch:size=4m,mode=1777 box sh -c \
		'touch /scratch/f && stat -f -c %T /scratch; df -k /scratch | sed 1d; stat -c %a /scratch'
	matches "tmpfs" "$output"
	matches " 4096 " "$output"
	matches $'\n1777$' "$output"
}

check_ulimit() {
	fg 0 --ulimit nofile=123:456 --ulimit core=0 --ulimit nproc=1000:20000 box sh -c 'ulimit -Sn; ulimit -Hn; ulimit -c'
	is "123
456
0" "$output"
}

check_limits() {
	fg 2 --memory 300m --cpus 0.5 --pids-limit 40 box sh -c 'grep MemTotal /proc/meminfo
		i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i + 1)); done'
	matches "can't fork|Resource temporarily unavailable" "$output$stderr"
	if is_runsm; then
		[ "$(awk '/MemTotal/ { print $2 }' <<<"$output")" -lt $((300 << 10)) ]
	fi
	fg 137 --memory 200m --memory-swap 200m box tail /dev/zero
}

# update: processes, and memory up to what the VM was made with
check_update() {
	up --memory 300m --memory-swap 300m --pids-limit 200 box sleep 1000
	clx 0 update --memory 200m --memory-swap 200m --pids-limit 30 --cpu-shares 512 "$ID"
	inside cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max
	is "209715200
30" "$output"
	is 200 "$(($(inspect '{{.HostConfig.Memory}}') >> 20))"
	clx 1 update --memory 400m --memory-swap 400m "$ID"
	matches 'the VM was made with 300 MiB' "$stderr"
	is 200 "$(($(inspect '{{.HostConfig.Memory}}') >> 20))"
}

check_env_workdir() {
	fg 0 -e FOO='a b' -e EMPTY= -w /var/tmp --hostname myhost box sh -c \
		'echo "$FOO,$EMPTY,"; pwd; hostname; cat /etc/hostname'
	is "a b,,
/var/tmp
myhost
myhost" "$output"
	fg 0 --entrypoint /bin/echo box an argument
	is "an argument" "$output"
}

# -v: a directory, a file, read-only, a volume by name
check_volumes() {
	mkdir "$T/d"
	echo in dir >"$T/d/f"
	echo single >"$T/single"
	echo secret >"$T/sibling"
	fg 0 -v "$T/d:/d" -v "$T/single:/single" -v "$T/d:/ro:ro" -v "vol$ID:/vol" box sh -c \
		'cat /d/f /single; echo new >/d/new; echo changed >/single; echo kept >/vol/f
		touch /ro/x 2>/dev/null || echo "ro: refused"; ls /'
	is "in dir
single
ro: refused" "$(sed -n 1,3p <<<"$output")"
	is new "$(cat "$T/d/new")"
	is changed "$(cat "$T/single")"
	hasnt sibling "$output"
	is kept "$(fg 0 -v "vol$ID:/vol" box cat /vol/f; echo "$output")"
	cl volume rm "vol$ID" >/dev/null
	# what was in the image is copied into a new volume
	fg 0 -v "vol$ID:/etc" box cat /etc/passwd
	has root:x:0:0:root:/root:/bin/sh "$output"
	cl volume rm "vol$ID" >/dev/null
	# changes on the host are seen
	up -v "$T/d:/d" box sleep 1000
	is "in dir" "$(cl exec "$ID" cat /d/f)"
	echo other >"$T/d/f"
	echo born >"$T/d/born"
	wait_for 10 eval '[ "$(cl exec '"$ID"' cat /d/f)" = other ]'
	is born "$(cl exec "$ID" cat /d/born)"
}

check_seccomp() {
	fg 0 box grep Seccomp: /proc/self/status
	matches '2$' "$output"
	fg 0 --cap-add SYS_ADMIN --security-opt seccomp=unconfined box sh -c \
		'grep Seccomp: /proc/self/status; unshare -m true && echo unshared'
	matches $'0\nunshared$' "$output"
	fg 1 box unshare -m true
	cat >"$T/profile.json" <<-'EOF'
		{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
		 "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}
	EOF
	fg 1 --security-opt "seccomp=$T/profile.json" box mkdir /tmp/d
	matches "not supported" "$stderr"
}

check_sysctl_device() {
	fg 0 --sysctl net.ipv4.ip_forward=1 --sysctl kernel.msgmax=4321 --device /dev/null:/dev/nix box \
		sh -c 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; echo x >/dev/nix
		ls -l /dev/nix'
	matches $'^1\n4321\ncrw.* 1, +3 ' "$output"
}

# The list of what every client makes for every container.
check_default_mounts() {
	fg 0 --add-host known:10.1.2.3 box sh -c 'cat /etc/hosts
		grep -E " (/dev/shm|/dev/mqueue|/dev/pts|/sys|/sys/fs/cgroup|/proc) " /proc/mounts
		echo shared >/dev/shm/x && cat /dev/shm/x; ls -l /dev/fd /dev/ptmx'
	matches "10.1.2.3[[:space:]]+known" "$output"
	local m
	for m in /dev/shm /dev/mqueue /dev/pts /sys /sys/fs/cgroup /proc; do
		matches " $m " "$output"
	done
	has shared "$output"
}

# check_oom OOMKILLED: the guest's kernel ends the program for want of memory; the client watches the
# host's cgroup, and sees nothing of it there; events does
check_oom() {
	local id
	up --memory 128m --memory-swap 128m box sh -c 'until [ -e /go ]; do sleep 0.1; done
		exec tail /dev/zero'
	if is_runsm; then
		id=$(inspect '{{.Id}}')
		background in_ns timeout 120 "$RUNTIME" --root "$(client_root)" events "$id" >"$T/events"
		local events=$!
		sleep 1
	fi
	sh_ctr 'touch /go'
	wait_for 60 ctr_is exited
	is "137 $1" "$(inspect '{{.State.ExitCode}} {{.State.OOMKilled}}')"
	is_runsm || return 0
	wait "$events"
	grep -qxF "{\"type\":\"oom\",\"id\":\"$id\"}" "$T/events"
}

# The --root that the client gives the runtime
client_root() {
	sed -n 's/^--root \([^ ]*\) .*/\1/p' "$C/calls" | tail -n 1 | grep . || echo "$ROOT"
}
