#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A network interface of the VM's own on a tap of the host (annotation io.runsm.tap).

load helpers.bash

setup() {
	ctr_setup "$BATS_TEST_TMPDIR"
	runsm_only
	bundle
}

# ns COMMAND…: in the network namespace that the container joins
ns() { nsenter --net="$NETNS" "$@"; }

ns_there() { [ "$(readlink "$NETNS")" != "$(readlink /proc/self/ns/net)" ]; }

# a network namespace with a tap of that name
make_tap() {
	need test -c /dev/net/tun -- "no /dev/net/tun"
	background unshare -n sleep 1000
	NETNS=/proc/$!/ns/net
	wait_for 5 ns_there
	ns ip tuntap add dev "$1" mode tap
	ns ip addr add 10.9.0.1/24 dev "$1"
	ns ip link set "$1" up
	cfg '.linux.namespaces |= map(if .type == "network" then .path = $p else . end)' --arg p "$NETNS"
}

tap() { cfg '.annotations["io.runsm.tap"] = $t' --arg t "$1"; }

rights() { cfg '.process.capabilities |= map_values(. + ["CAP_NET_ADMIN", "CAP_NET_RAW"])'; }

# the program of a container that gives its interface an address
UP='ip link set eth0 up && ip addr add 10.9.0.2/24 dev eth0'

# md5sum of what the namespace's nc gets from port $1 of the container, having sent stdin
talk() { ns busybox nc 10.9.0.2 "$1"; }

listening() { in_ctr netstat -ltn && [[ $output == *:1000\ *:1001\ * || $output == *:1001\ *:1000\ * ]]; }

# bats test_tags=kvm
@test "tap: the container configures its interface, pings, and streams both ways" {
	make_tap vmtap
	tap vmtap
	rights
	head -c 8000000 /dev/urandom >"$T/big"
	cp "$T/big" "$BUNDLE/rootfs/big"
	sh_args "$UP; nc -ll -p 1000 -e md5sum & nc -ll -p 1001 -e cat /big & sleep 1000"
	ctr_up
	in_ctr ls /sys/class/net
	is "eth0
lo" "$output"
	in_ctr ping -c 3 -W 10 10.9.0.1
	matches ' 0% packet loss' "$output"
	ns busybox ping -c 3 -W 10 10.9.0.2
	wait_for 20 listening
	is "$(md5sum <"$T/big")" "$(talk 1000 <"$T/big")"
	is "$(md5sum <"$T/big")" "$(talk 1001 </dev/null | md5sum)"
	# what was on the way when the VM was paused arrives
	rtx 0 pause "$ID"
	talk 1001 </dev/null >"$T/got" 3>&- &
	local pid=$!
	rtx 0 resume "$ID"
	wait $pid
	cmp "$T/big" "$T/got"
}

# bats test_tags=kvm
@test "tap: root of a user namespace configures it, too" {
	make_tap vmtap
	tap vmtap
	rights
	cfg '.linux.namespaces += [{type: "user"}] |
		.linux.uidMappings = [{containerID: 0, hostID: 0, size: 65536}] |
		.linux.gidMappings = .linux.uidMappings'
	sh_args "$UP && ping -c 1 -W 10 10.9.0.1"
	ctr_run 0
	matches ' 0% packet loss' "$output"
}

# bats test_tags=kvm
@test "tap: linux.sysctl reaches the interface, which is there before" {
	make_tap vmtap
	tap vmtap
	cfg '.linux.sysctl["net.ipv4.conf.eth0.forwarding"] = "1"'
	args cat /proc/sys/net/ipv4/conf/eth0/forwarding
	ctr_run 0
	is 1 "$output"
}

# bats test_tags=kvm
@test "tap: one that is missing, busy, or no tap is refused by name" {
	local what='annotations.io.runsm.tap: '
	make_tap vmtap
	tap other
	fails 1 "network interface 'vmtap'.*cannot be given" create --bundle "$BUNDLE" "$ID"
	ns ip link set vmtap down
	ns ip link del vmtap
	fails 1 "${what}no tap device 'other' in this network namespace" create --bundle "$BUNDLE" "$ID"
	tap a-name-longer-than-15
	fails 1 "$what'a-name-longer-than-15' is no name" create --bundle "$BUNDLE" "$ID"
	tap ''
	fails 1 "$what'' is no name" create --bundle "$BUNDLE" "$ID"
	tap lo
	fails 1 "${what}network device 'lo' is no tap" create --bundle "$BUNDLE" "$ID"
	nothing_left
	ns ip tuntap add dev vmtap mode tap
	tap vmtap
	ctr_up
	fails 1 "${what}tap 'vmtap' is in use by another program" create --bundle "$BUNDLE" "$ID-2"
	rtx 0 delete --force "$ID"
	# the end of its user gives it back
	ctr_up
}

# bats test_tags=tcg
@test "tap: refused by name on the tcg machine" {
	tap vmtap
	fails 1 "annotations.io.runsm.tap: 'vmtap': the tcg machine has no network interfaces, only kvm" \
		create --bundle "$BUNDLE" "$ID"
	nothing_left
}
