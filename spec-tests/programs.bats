#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Real programs from Debian, in the Debian root file system.

load helpers

# What Docker gives a container's root: dpkg changes owners, sqlite and git do not need it.
docker_caps() {
	cfg '.process.noNewPrivileges = false | .process.capabilities =
		(["bounding", "permitted", "effective"] | map({key: ., value: ["CAP_CHOWN",
		"CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW",
		"CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
		"CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"]}) | from_entries) |
		.process.env += ["HOME=/root", "LC_ALL=C"]'
}

make_deb() {
	mkdir -p "$T/deb/DEBIAN" "$T/deb/usr/share/demo/many" "$T/deb/var/lib/demo"
	cat >"$T/deb/DEBIAN/control" <<-'EOC'
	Package: demo
	Version: 1.2
	Architecture: all
	Maintainer: nobody <nobody@example.org>
	Description: demo
	EOC
	printf '#!/bin/sh\nset -e\nadduser=$(id -u)\necho "configured by $adduser" >/var/lib/demo/done\nchown daemon /var/lib/demo/done\n' \
		>"$T/deb/DEBIAN/postinst"
	chmod 755 "$T/deb/DEBIAN/postinst"
	local i
	for i in $(seq 100); do
		echo "$i" >"$T/deb/usr/share/demo/many/$i"
	done
	ln -s many/7 "$T/deb/usr/share/demo/seven"
	dpkg-deb --root-owner-group -b "$T/deb" "$1" >/dev/null
}

@test "dpkg and apt install, verify and remove a local package" {
	bundle debian
	docker_caps
	make_deb "$BUNDLE/rootfs/root/demo.deb"
	sh_args 'set -e; apt-get -o APT::Sandbox::User=root install -y /root/demo.deb >/tmp/log 2>&1 || { cat /tmp/log; exit 1; }
		dpkg -s demo | grep Status; cat /usr/share/demo/seven; cat /var/lib/demo/done
		stat -c %U /var/lib/demo/done; dpkg --verify demo && echo verified
		dpkg -P demo >/dev/null; test ! -e /usr/share/demo && echo purged'
	RT_TIMEOUT=120 ctr_run 0
	is "Status: install ok installed
7
configured by 0
daemon
verified
purged" "$output"
}

@test "gcc compiles and runs a program" {
	bundle tools
	docker_caps
	cat >"$BUNDLE/rootfs/root/hello.c" <<-'EOC'
	#include <math.h>
	#include <stdio.h>
	#include <unistd.h>
	int main(void) { printf("hello from pid %d, %.3f\n", getpid() > 1, sqrt(2.0)); return 17; }
	EOC
	sh_args 'cd /root && gcc -O2 -Wall -o hello hello.c -lm && ./hello'
	RT_TIMEOUT=120 ctr_run 17
	is "hello from pid 1, 1.414" "$output"
}

@test "git init, commit, clone, fsck" {
	bundle tools
	docker_caps
	sh_args 'set -e; cd /root; git config --global user.email a@b; git config --global user.name n
		git init -q -b main one; cd one
		for d in 1 2 3 4 5; do mkdir $d; for f in $(seq 30); do echo $d $f >$d/$f; done; done
		git add .; git commit -qm first; git mv 1 one; rm -r 2; git add -A; git commit -qm second
		git clone -q /root/one /root/two; cd ../two; git log --format=%s; git fsck 2>&1
		git ls-files | wc -l; git status --short | wc -l; git gc -q; git diff --stat HEAD~1 | tail -n1'
	RT_TIMEOUT=180 ctr_run 0
	is "second
first
120
0" "$(head -n 4 <<<"$output")"
	matches '60 files changed' "$output"
}

@test "python3 runs threads, sockets and subprocesses" {
	bundle tools
	docker_caps
	cat >"$BUNDLE/rootfs/root/t.py" <<-'PY'
	import os, socket, subprocess, sys, threading
	server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen()
	def serve():
	    c, _ = server.accept()
	    c.sendall(c.recv(100).upper()); c.close()
	t = threading.Thread(target=serve); t.start()
	c = socket.create_connection(server.getsockname()); c.sendall(b"shout"); print(c.recv(100).decode())
	t.join()
	print(subprocess.check_output(["sh", "-c", "echo child $(id -u)"]).decode().strip())
	r, w = os.pipe()
	if os.fork() == 0:
	    os.write(w, b"forked"); os._exit(3)
	print(os.read(r, 10).decode(), os.WEXITSTATUS(os.wait()[1]))
	print(sum(i * i for i in range(10000)))
	sys.exit(21)
	PY
	args python3 /root/t.py
	RT_TIMEOUT=120 ctr_run 21
	is "SHOUT
child 0
forked 3
333283335000" "$output"
}

# A transaction that was reported as committed survives the death of the machine, one that was not
# leaves no trace.
@test "sqlite3 survives kill -9 of the VM in the middle of a transaction" {
	bundle tools
	docker_caps
	cat >"$BUNDLE/rootfs/root/work.sh" <<-'EOS'
	sqlite3 /root/db "PRAGMA journal_mode=$1; CREATE TABLE IF NOT EXISTS t(n INTEGER, x BLOB);" >/dev/null
	n=$(sqlite3 /root/db "SELECT count(*) FROM t")
	while :; do
		n=$((n + 1))
		echo "PRAGMA synchronous=FULL; BEGIN; INSERT INTO t VALUES($n, randomblob(20000)); COMMIT;"
		echo "SELECT 'done ' || $n;"
	done | sqlite3 /root/db
	EOS
	local mode n last
	for mode in wal delete; do
		args sh /root/work.sh $mode
		ctr_up
		wait_for 60 grep -q 'done' "$T/out"
		sleep 1
		kill -9 "$(ctr_pid)"
		wait_status stopped
		rt delete "$ID"
		last=$(grep -o 'done [0-9]*' "$T/out" | tail -n 1 | tr -dc 0-9)
		sh_args 'sqlite3 /root/db "PRAGMA integrity_check; SELECT count(*), max(n) FROM t"'
		ctr_run 0
		is ok "${lines[0]}"
		n=${lines[1]%|*}
		is "$n|$n" "${lines[1]}"
		[ "$n" -ge "$last" ]
		[ "$n" -le $((last + 50)) ]
	done
}
