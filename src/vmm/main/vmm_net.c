// SPDX-License-Identifier: Apache-2.0
/*
 * The network namespace. runsm-vmm is in the container's own: whoever looks at /proc/PID/ns/net of
 * the container's pid, to put an interface there, gets the right one, and a guest that takes the
 * VMM over finds no network but the container's.
 *
 * The guest has what the VMM finds there only where config.json says so: one tap device, by its
 * name, is the other end of the guest's network interface. Any other interface is refused, as the
 * container would miss it.
 *
 * It is a new one, made when runsm-vmm was started, or joined by its path. Started by a caller who
 * may not make namespaces, runsm-vmm is in that caller's, and the guest has no part of it.
 */
#include "vmm/main/vmm_sandbox.h"

#include "base/cleanup.h"
#include "base/math.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What tunnel modules put into every new namespace; nobody uses one that is down. */
static const char *const fallback_devices[] = {
	"tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0",
};

/* Were we started in namespaces of our own? Then we are the first process there. */
static bool in_own_namespaces(void)
{
	return getpid() == 1;
}

static bool joins(const struct sandbox *s)
{
	return s->config->network_namespace && *s->config->network_namespace;
}

static int join(const char *path, struct rsm_error *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return rsm_fail_errno(err, errno, "open network namespace '%s'", path);
	if (setns(fd, CLONE_NEWNET) < 0)
		return rsm_fail_errno(err, errno, "join network namespace '%s'", path);
	return 0;
}

static int loopback_up(struct rsm_error *err)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return rsm_fail_errno(err, errno, "bring up the loopback interface");
	return 0;
}

int network_enter(const struct sandbox *s, struct rsm_error *err)
{
	if (joins(s))
		return join(s->config->network_namespace, err);
	return in_own_namespaces() ? loopback_up(err) : 0;
}

static bool is_fallback(const char *name)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(fallback_devices); i++)
		if (strcmp(name, fallback_devices[i]) == 0)
			return true;
	return false;
}

static int check_interface(const struct sandbox *s, int fd, const char *name, struct rsm_error *err)
{
	struct ifreq request = {0};

	if (strcmp(name, s->config->tap) == 0)
		return 0;
	(void)strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return errno == ENODEV ? 0 : rsm_fail_errno(err, errno, "interface '%s'", name);
	if (request.ifr_flags & IFF_LOOPBACK ||
	    (!(request.ifr_flags & IFF_UP) && is_fallback(name)))
		return 0;
	return rsm_fail(err, EOPNOTSUPP,
			"network interface '%s': a VM cannot be given network interfaces yet; run "
			"the container without network (--network none)",
			name);
}

int network_check(const struct sandbox *s, struct rsm_error *err)
{
	_cleanup_close_ int fd = -1;
	struct if_nameindex *all;
	int r = 0;

	if (!joins(s) && !in_own_namespaces())
		return 0;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return rsm_fail_errno(err, errno, "look for network interfaces");
	all = if_nameindex();
	if (!all)
		return rsm_fail_errno(err, errno, "look for network interfaces");
	for (size_t i = 0; r == 0 && all[i].if_index; i++)
		r = check_interface(s, fd, all[i].if_name, err);
	if_freenameindex(all);
	return r;
}

int network_open(struct sandbox *s, struct rsm_error *err)
{
	struct net_config config = {.tap = true};
	_cleanup_close_ int fd = -1;
	int r;

	if (!*s->config->tap)
		return 0;
	fd = net_tap_open(s->config->tap, err);
	if (fd < 0)
		return rsm_error_prefix(err, "annotations.io.runsm.tap");
	config.fd = fd;
	r = net_new(s->loop, &config, &s->nic, err);
	if (r == 0)
		(void)rsm_steal_fd(fd);
	return r;
}
