#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Standard input, output and error: every byte, the end of each, whatever is at the other side.

load helpers

run_here() { "$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID" 3>&- 4>&-; }

big_file() {
	head -c $((20 << 20)) /dev/urandom >"$T/big"
	sum=$(sha256sum <"$T/big")
}

@test "20 MiB in and out through pipes with a slow reader lose nothing" {
	bundle
	big_file
	args cat
	is "$sum" "$(cat "$T/big" | run_here | (sleep 1; sha256sum))"
	sh_args 'cat >&2'
	run_here <"$T/big" 2>"$T/copy"
	cmp "$T/big" "$T/copy"
}

@test "20 MiB in and out of an exec lose nothing" {
	bundle
	big_file
	ctr_up
	rt exec "$ID" cat <"$T/big" >"$T/copy"
	cmp "$T/big" "$T/copy"
	is "$sum" "$(cat "$T/big" | rt exec "$ID" sh -c 'cat >&2' 2>&1 >/dev/null | sha256sum)"
}

@test "the end of stdin is seen" {
	bundle
	sh_args 'cat; echo end'
	is "in
end" "$(echo in | run_here)"
	is "end" "$(run_here </dev/null)"
	args sleep 1000
	ctr_up
	is "in
end" "$(printf 'in\n' | rt exec "$ID" sh -c 'cat; echo end')"
}

@test "a stdin that stays open and silent keeps nothing waiting" {
	bundle
	mkfifo "$T/fifo"
	exec 7<>"$T/fifo"
	sh_args 'echo done; exit 4'
	run -4 timeout $((60 * SLOW)) "$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID" <&7 3>&-
	is done "$output"
	args sleep 1000
	ctr_up
	run -5 timeout $((60 * SLOW)) "$RUNTIME" --root "$ROOT" exec "$ID" sh -c 'echo e; exit 5' <&7 3>&-
	is e "$output"
	exec 7>&-
}

@test "the output of a process that ends at once is complete" {
	bundle
	ctr_up
	local i
	for i in 1 2 3 4 5 6 7 8 9 10; do
		is 300000 "$(rt exec "$ID" head -c 300000 /dev/zero | wc -c)"
		is "last" "$(rt exec "$ID" sh -c 'echo last; kill -KILL $$' || :)"
	done
	rt delete --force "$ID"
	args head -c 300000 /dev/zero
	is 300000 "$(run_here </dev/null | wc -c)"
}

# A grandchild that keeps the pipe open must not keep the exit from being reported.
@test "a background process that holds stdout does not hold up the exit" {
	bundle
	ctr_up
	local start=$SECONDS
	SUBREAPER_OUT=$T/o run -0 python3 "$SPEC_DIR/subreaper.py" "$T/pid" \
		"$RUNTIME" --root "$ROOT" exec --detach --pid-file "$T/pid" "$ID" \
		sh -c 'sleep 60 & echo said; exit 6' 3>&-
	is 6 "$output"
	[ $((SECONDS - start)) -lt $((30 * SLOW)) ]
	is said "$(cat "$T/o")"
}

@test "closed stdin, stdout and stderr are like /dev/null" {
	bundle
	sh_args 'cat; echo out; echo err >&2; exit 8'
	run -8 bash -c '"$@" <&- >&- 2>&-' - \
		"$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID"
	run -8 --separate-stderr bash -c '"$@" <&-' - \
		"$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID"
	is out "$output"
	is err "$stderr"
}

@test "a reader that goes away ends the writer with SIGPIPE" {
	bundle
	args yes
	set +o pipefail
	run_here </dev/null | head -n1 >"$T/o"
	local rc=${PIPESTATUS[0]}
	is y "$(cat "$T/o")"
	is 141 "$rc" || is 1 "$rc"	# busybox may see EPIPE first
	nothing_left
}

@test "stdout may be a file, appended to; a socket; a terminal" {
	bundle
	sh_args 'echo to stdout; echo to stderr >&2'
	echo before >"$T/log"
	run_here </dev/null >>"$T/log" 2>&1
	has before "$(cat "$T/log")"
	has "to stdout" "$(cat "$T/log")"
	has "to stderr" "$(cat "$T/log")"

	run -0 python3 - "$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID" <<-'PY'
	import socket, subprocess, sys
	ours, theirs = socket.socketpair()
	p = subprocess.Popen(sys.argv[1:], stdin=theirs, stdout=theirs, stderr=theirs)
	theirs.close()
	data = b"".join(iter(lambda: ours.recv(4096), b""))
	print(sorted(data.decode().split("\n")), p.wait())
	PY
	is "['', 'to stderr', 'to stdout'] 0" "$output"

	run -0 python3 "$SPEC_DIR/console.py" --spawn "$T/tty" -- \
		"$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID" </dev/null 3>&-
	has "to stdout" "$(tr -d '\r' <"$T/tty")"
	has "to stderr" "$(tr -d '\r' <"$T/tty")"
}

# nginx and others log to /dev/stdout by opening it; under another user, too.
@test "a program may open /dev/stdin, /dev/stdout and /dev/stderr, as any user" {
	bundle
	ctr_up
	local user
	for user in 0 1000; do
		run -0 --separate-stderr rt exec --user $user "$ID" sh -c \
			'echo re-out >/dev/stdout; echo re-err >/dev/stderr; cat /dev/stdin' \
			< <(echo re-in)
		is "re-out
re-in" "$output"
		is re-err "$stderr"
	done
}

# The fds may be shared with the caller's shell, whose next read would fail.
@test "the caller's fds stay in blocking mode" {
	bundle
	args cat
	run -0 python3 - "$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID" <<-'PY'
	import os, subprocess, sys
	r0, w0 = os.pipe()
	r1, w1 = os.pipe()
	os.write(w0, b"x"); os.close(w0)
	rc = subprocess.call(sys.argv[1:], stdin=r0, stdout=w1, stderr=w1)
	print(rc, os.get_blocking(r0), os.get_blocking(w1), os.read(r1, 10))
	PY
	is "0 True True b'x'" "$output"
}

# spec: runtime.md#lifecycle; CVE-2024-21626 was such an fd
@test "no other fd of the caller reaches the container" {
	bundle
	args ls /proc/self/fd
	exec 5</etc/hostname 6</ 9<"$BUNDLE"
	ctr_run 0
	# the fourth is the directory that ls reads
	is "0 1 2 3" "$(tr '\n' ' ' <<<"$output" | sed 's/ $//')"
	args sleep 1000
	ctr_up
	in_ctr ls /proc/self/fd
	is "0 1 2 3" "$(tr '\n' ' ' <<<"$output" | sed 's/ $//')"
	in_ctr sh -c 'ls /proc/1/fd | tr "\n" " "'
	is "0 1 2 " "$output"
	exec 5<&- 6<&- 9<&-
}

@test "--preserve-fds hands over the fds after stderr" {
	bundle
	echo three >"$T/three"
	echo five >"$T/five"
	sh_args 'cat <&3; echo four >&4; ls /proc/self/fd | wc -l'
	run -0 bash -c '"$@" 3<'"$T/three"' 4>'"$T/four"' 5<'"$T/five" - \
		"$RUNTIME" --root "$ROOT" run --preserve-fds 2 --bundle "$BUNDLE" "$ID" </dev/null
	is "three
6" "$output"
	is four "$(cat "$T/four")"

	args sleep 1000
	ctr_up
	run -0 bash -c '"$@" 3<'"$T/three" - \
		"$RUNTIME" --root "$ROOT" exec --preserve-fds 1 "$ID" sh -c 'cat <&3' </dev/null
	is three "$output"
}

@test "--preserve-fds: what is open for one direction can be opened anew by name" {
	bundle
	echo three >"$T/three"
	: >"$T/four"
	chmod 666 "$T/four"
	args sleep 1000
	ctr_up
	run -0 bash -c '"$@" 3<'"$T/three"' 4>'"$T/four" - \
		"$RUNTIME" --root "$ROOT" exec --user 1000 --preserve-fds 2 "$ID" \
		sh -c 'cat /proc/self/fd/3 && echo four >/proc/self/fd/4' </dev/null
	is three "$output"
	is four "$(cat "$T/four")"
	run -0 bash -c 'cat "$0" | "$@" 3<&0 4>&1 </dev/null | cat' "$T/three" \
		"$RUNTIME" --root "$ROOT" exec --preserve-fds 2 "$ID" \
		sh -c 'cat /proc/self/fd/3 >/proc/self/fd/4'
	is three "$output"
}

@test "--preserve-fds: nothing is lost that a process writes before its exit" {
	runsm_only # under runc the process itself waits for the reader
	# more than a pipe holds, and little enough that the guest is rid of it before anybody reads
	local script='dd if=/dev/zero of=/proc/self/fd/3 bs=1000 count=150 2>/dev/null; echo done'
	local reader='until grep -q done "$0"; do sleep 0.1; done; sleep 1; wc -c'
	bundle
	sh_args "$script"
	run -0 bash -c '"$@" 3>&1 >"$0" </dev/null | bash -c '"'$reader'"' "$0"' "$T/out" \
		"$RUNTIME" --root "$ROOT" run --preserve-fds 1 --bundle "$BUNDLE" "$ID"
	is 150000 "$output"
	args sleep 1000
	ctr_up
	run -0 bash -c '"$@" 3>&1 >"$0" </dev/null | bash -c '"'$reader'"' "$0"' "$T/out2" \
		"$RUNTIME" --root "$ROOT" exec --preserve-fds 1 "$ID" sh -c "$script"
	is 150000 "$output"
}
