// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's network interface. The kernel makes it in the agent's network namespace, under its
 * first name for Ethernet; it is the container's, which gives it its addresses.
 *
 * Only the agent may move it: a container in a user namespace has no rights over the namespace it
 * comes from. It is down until the container sets it up.
 */
#include "agent/agent.h"

#include "base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/rtnetlink.h>

#define NIC "eth0"

struct move {
	struct nlmsghdr head;
	struct ifinfomsg info;
	struct rtattr attr;
	uint32_t pid;
};
static_assert(sizeof(struct move) == 40);

/* Return: 0 or -errno */
static int ask(const struct move *m)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[256];
	} answer;
	ssize_t n;

	if (fd < 0 || send(fd, m, sizeof(*m), 0) < 0)
		return -errno;
	n = recv(fd, &answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(answer.error)) ||
	    answer.head.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.error.error;
}

int nic_give(pid_t pid, struct rsm_error *err)
{
	struct move m = {
		.head = {.nlmsg_len = sizeof(m),
			 .nlmsg_type = RTM_NEWLINK,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.info = {.ifi_index = (int)if_nametoindex(NIC)},
		.attr = {.rta_len = RTA_LENGTH(sizeof(m.pid)), .rta_type = IFLA_NET_NS_PID},
		.pid = (uint32_t)pid,
	};
	int ret;

	if (!m.info.ifi_index)
		return rsm_fail(err, ENODEV,
				"the guest's kernel has no driver for a network interface "
				"(virtio_net)");
	ret = ask(&m);
	return ret < 0 ? rsm_fail_errno(err, ret, "give the container its network interface") : 0;
}
