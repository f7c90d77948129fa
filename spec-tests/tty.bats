#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# process.terminal, consoleSize, --console-socket, --tty.  spec: config.md#process
#
# spec-tests/console.py is the other end of the terminal; what it prints goes to $T/tty.

load helpers

# console MODE ARG…: start console.py, with its commands coming from say()
console() {
	mkfifo "$T/ctl"
	exec 8<>"$T/ctl"
	: >"$T/tty"
	background python3 "$SPEC_DIR/console.py" "$@" <&8
	CONSOLE=$!
}

listen() {
	console --listen "$T/c.sock" "$T/tty"
	wait_for 10 test -S "$T/c.sock"
}

say() { echo "$*" >&8; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
screen() { tr -d '\r' <"$T/tty"; }
shows() { screen | grep -qE -e "$1"; }
wait_shows() { wait_for 20 shows "$1" || { screen >&2; return 1; }; }

tty_bundle() {
	bundle
	cfg '.process.terminal = true'
}

@test "create hands the terminal to the console socket, with name, size and modes" {
	tty_bundle
	cfg '.process.consoleSize = {height: 33, width: 121}'
	sh_args 'test -t 0 && test -t 1 && test -t 2 && echo all ttys; stty size; tty
		ls -l /dev/console; read line; echo "read <$line>"; exit 5'
	listen
	rt create --bundle "$BUNDLE" --console-socket "$T/c.sock" "$ID" </dev/null
	rt start "$ID"
	wait_shows "all ttys"
	wait_shows "^33 121$"
	wait_shows "/dev/(pts/0|console)"
	wait_shows "^crw.*/dev/console"
	[ -s "$T/tty.name" ]
	say type hello
	wait_shows "read <hello>"
	# cooked: what is typed is echoed, a newline comes as CR LF
	shows '^hello$'
	grep -q $'all ttys\r$' "$T/tty"
	wait_status stopped
}

@test "the terminal resizes, interrupts and hangs up" {
	tty_bundle
	sh_args 'trap "echo size \$(stty size)" WINCH; trap "echo int" INT; trap "echo hup >/hup; exit" HUP
		echo ready; while :; do read line && echo "line $line"; done'
	listen
	rt create --bundle "$BUNDLE" --console-socket "$T/c.sock" "$ID" </dev/null
	rt start "$ID"
	wait_shows ready
	say size 44 99
	wait_shows "size 44 99"
	say size 50 132
	wait_shows "size 50 132"
	say hex 03
	wait_shows "^(\^C)?int$"
	say hangup
	wait_for 20 grep -q hup "$BUNDLE/rootfs/hup"
	wait_status stopped
}

@test "a raw terminal passes every byte both ways" {
	tty_bundle
	sh_args 'stty raw -echo; echo ready; head -c 256 >/bytes; cat /bytes; sleep 1000'
	listen
	rt create --bundle "$BUNDLE" --console-socket "$T/c.sock" "$ID" </dev/null
	rt start "$ID"
	wait_shows ready
	local all
	all=$(printf '%02x' $(seq 0 255))
	say hex "$all"
	wait_for 20 eval '[ "$(tail -c 256 "$T/tty" | hex)" = '"$all"' ]'
	is "$all" "$(hex <"$BUNDLE/rootfs/bytes")"
}

@test "long output through a terminal is complete, and so is that of a quick exit" {
	tty_bundle
	sh_args 'seq 1 30000; echo last'
	listen
	rt create --bundle "$BUNDLE" --console-socket "$T/c.sock" "$ID" </dev/null
	rt start "$ID"
	wait_status stopped "$ID" 60
	wait_shows '^last$'
	seq 1 30000 >"$T/want"
	echo last >>"$T/want"
	cmp "$T/want" <(screen)
}

@test "run -t in the foreground uses the caller's terminal and restores it" {
	tty_bundle
	sh_args 'test -t 1 && echo tty; stty size; read a; echo "a=$a"; trap "echo size \$(stty size); exit 7" WINCH
		while :; do sleep 0.1; done'
	cat >"$T/session" <<-EOS
	stty rows 29 cols 111
	stty -a >$T/before
	$RUNTIME --root $ROOT run --bundle $BUNDLE $ID
	rc=\$?
	stty -a >$T/after
	exit \$rc
	EOS
	console --spawn "$T/tty" -- sh "$T/session"
	wait_shows "^29 111$"
	shows '^tty$'
	say type foo
	wait_shows "a=foo"
	say size 61 77
	wait_shows "size 61 77"
	local rc=0
	wait "$CONSOLE" || rc=$?
	is 7 $rc
	is "$(sed 's/rows [0-9]*; columns [0-9]*//' "$T/before")" \
		"$(sed 's/rows [0-9]*; columns [0-9]*//' "$T/after")"
	nothing_left
}

# As runc: of the caller's streams any one can be the terminal.
# bats test_tags=once
@test "a terminal shows its output on stdout, and takes its input from stdin" {
	tty_bundle
	sh_args 'test -t 0 && test -t 1 && echo tty; read a; echo "got <$a>"; stty size'
	cat >"$T/session" <<-EOS
	stty rows 31 cols 91
	echo piped | $RUNTIME --root $ROOT run --bundle $BUNDLE $ID >$T/out.run
	echo "run \$?"
	$RUNTIME --root $ROOT run --detach --bundle $BUNDLE.d $ID.d </dev/null
	echo piped | $RUNTIME --root $ROOT exec --tty $ID.d sh -c 'read a; echo "exec <\$a>"; exit 4' \
		2>/dev/null >$T/out.exec
	echo "exec \$?"
	EOS
	mkdir "$BUNDLE.d"
	jq --arg r "$BUNDLE/rootfs" '.process.terminal = false | .root.path = $r | .process.args = ["sleep", "1000"]' \
		"$BUNDLE/config.json" >"$BUNDLE.d/config.json"
	console --spawn "$T/tty" -- sh "$T/session"
	wait "$CONSOLE"
	shows '^run 0$'
	shows '^exec 4$'
	# the echo of what is typed may come first
	is $'31 91\ngot <piped>\npiped\ntty' "$(tr -d '\r' <"$T/out.run" | sort)"
	matches 'exec <piped>' "$(tr -d '\r' <"$T/out.exec")"
	! shows 'got|exec <'
}

@test "exec --tty in the foreground" {
	bundle
	ctr_up
	console --spawn "$T/tty" -- "$RUNTIME" --root "$ROOT" exec --tty --env TERM=dumb "$ID" \
		sh -c 'test -t 0 && test -t 1 && echo tty; echo $TERM; read a; echo "a=$a"; exit 9'
	wait_shows '^tty$'
	wait_shows '^dumb$'
	say type bar
	wait_shows 'a=bar'
	local rc=0
	wait "$CONSOLE" || rc=$?
	is 9 $rc
	is running "$(ctr_status)"
}

@test "exec --process with a terminal and a console socket, detached, as containerd does it" {
	bundle
	ctr_up
	cat >"$T/process.json" <<-'JSON'
	{ "terminal": true, "consoleSize": {"height": 21, "width": 42}, "cwd": "/", "user": {"uid": 1000, "gid": 1000},
	  "args": ["sh", "-c", "stty size; id -u; read a; echo \"a=$a\""], "env": ["PATH=/bin"] }
	JSON
	listen
	rt exec --process "$T/process.json" --console-socket "$T/c.sock" --detach \
		--pid-file "$T/pid" "$ID" </dev/null >/dev/null
	wait_shows '^21 42$'
	wait_shows '^1000$'
	kill -0 "$(cat "$T/pid")"
	say type baz
	wait_shows 'a=baz'
	wait_for 10 eval '! kill -0 $(cat "$T/pid") 2>/dev/null'
	is running "$(ctr_status)"
}

@test "the terminal belongs to the container's user" {
	tty_bundle
	cfg '.process.user = {uid: 1000, gid: 1000}'
	sh_args 'echo via dev >/dev/tty; stat -c "owner %u" $(readlink /proc/self/fd/0)'
	listen
	rt create --bundle "$BUNDLE" --console-socket "$T/c.sock" "$ID" </dev/null
	rt start "$ID"
	wait_shows 'via dev'
	wait_shows 'owner 1000'
}

# bats test_tags=once
@test "a terminal without a console socket, or the other way round, is refused" {
	tty_bundle
	fails 1 'console socket' create --bundle "$BUNDLE" "$ID"
	nothing_left
	cfg '.process.terminal = false'
	fails 1 'console socket' create --bundle "$BUNDLE" --console-socket "$T/none" "$ID"
	cfg '.process.terminal = true'
	run rt create --bundle "$BUNDLE" --console-socket "$T/none" "$ID" </dev/null
	[ "$status" != 0 ]
	matches "$T/none|no such file" "$output"
	nothing_left
}

# bats test_tags=once
@test "run with a terminal but no terminal to use says so" {
	tty_bundle
	run rt run --bundle "$BUNDLE" "$ID" </dev/null
	[ "$status" != 0 ]
	matches 'tty|terminal|console|inappropriate ioctl' "$output"
	nothing_left
}

# A caller that reads the output to its end, as a shell's $(…) does, must not wait for the container.
# bats test_tags=once
@test "create --debug with a console socket: nothing keeps its output open" {
	tty_bundle
	listen
	rt --debug create --bundle "$BUNDLE" --console-socket "$T/c.sock" "$ID" </dev/null 2>&1 |
		timeout $((30 * SLOW)) cat >"$T/log"
	is "0 0" "${PIPESTATUS[*]}"
	[ -s "$T/log" ]
	is created "$(ctr_status)"
}

# A person at a shell: ^Z, bg, fg, ^C, ^D.
# bats test_tags=once
@test "job control: a shell stops, continues and interrupts its jobs" {
	tty_bundle
	cfg '.process.env += ["PS1=prompt> ", "TERM=dumb"]'
	args sh -i
	listen
	rt create --bundle "$BUNDLE" --console-socket "$T/c.sock" "$ID" </dev/null
	rt start "$ID"
	wait_shows '^prompt> '
	! shows 'job control turned off'
	# state LETTER [of the job]: T stopped, S asleep; + in the foreground
	job_is() { rt exec "$ID" ps -o stat,args 2>/dev/null | grep -q "^$1 .*[s]leep 1001"; }
	say type 'sleep 1001'
	wait_for 20 job_is S
	say hex 1a
	wait_shows '\[1\]\+ +Stopped +sleep 1001'
	wait_for 20 job_is T
	say type bg
	wait_for 20 job_is S
	say type fg
	wait_shows '^sleep 1001$'
	say hex 03
	wait_for 20 eval '! job_is S'
	say type 'echo status $?'
	wait_shows '^status (127|130)$'
	say type cat
	wait_for 20 eval 'rt exec "$ID" ps -o args 2>/dev/null | grep -qx cat'
	say type 'typed to cat'
	wait_for 20 eval '[ "$(screen | grep -c "^typed to cat")" = 2 ]'
	say hex 04
	say type 'exit 7'
	wait_status stopped
}
