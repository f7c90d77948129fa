// SPDX-License-Identifier: Apache-2.0
#include "vmm/net.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/if_tun.h>
#include <linux/virtio_net.h>

#define TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

int net_tap_set_offloads(int fd, uint64_t features)
{
	unsigned offloads = 0;

	/* segments without checksums make no sense, and the kernel refuses them */
	if (features & 1ULL << VIRTIO_NET_F_GUEST_CSUM) {
		offloads = TUN_F_CSUM;
		if (features & 1ULL << VIRTIO_NET_F_GUEST_TSO4)
			offloads |= TUN_F_TSO4;
		if (features & 1ULL << VIRTIO_NET_F_GUEST_TSO6)
			offloads |= TUN_F_TSO6;
		if (offloads != TUN_F_CSUM && features & 1ULL << VIRTIO_NET_F_GUEST_ECN)
			offloads |= TUN_F_TSO_ECN;
	}
	return ioctl(fd, TUNSETOFFLOAD, offloads) < 0 ? -errno : 0;
}

int net_tap_prepare(int fd, struct rsm_error *err)
{
	int header = sizeof(struct virtio_net_hdr_v1), le = 1, r;
	struct ifreq ifr = {0};

	if (ioctl(fd, TUNGETIFF, &ifr) < 0)
		return rsm_fail(err, EINVAL, "fd %d is not an attached tap device", fd);
	if ((ifr.ifr_flags & (TAP_FLAGS | IFF_TUN)) != TAP_FLAGS)
		return rsm_fail(err, EINVAL,
				"tap '%.*s' was attached without IFF_TAP, IFF_NO_PI, IFF_VNET_HDR",
				IFNAMSIZ, ifr.ifr_name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 || ioctl(fd, TUNSETVNETLE, &le) < 0)
		return rsm_fail_errno(err, errno, "tap '%.*s': set the header format", IFNAMSIZ,
				      ifr.ifr_name);
	r = net_tap_set_offloads(fd, 0);
	if (r == 0)
		r = rsm_set_nonblock(fd, true);
	return r < 0 ? rsm_fail_errno(err, -r, "tap '%.*s'", IFNAMSIZ, ifr.ifr_name) : 0;
}

int net_tap_open(const char *name, struct rsm_error *err)
{
	_cleanup_close_ int fd = -1;
	struct ifreq ifr = {.ifr_flags = TAP_FLAGS};
	size_t len = strlen(name);

	if (!len || len >= IFNAMSIZ)
		return rsm_fail(err, EINVAL, "'%s' is no name of a tap device", name);
	/* TUNSETIFF would make one that nobody routes to */
	if (!if_nametoindex(name))
		return rsm_fail(err, ENODEV, "no tap device '%s' in this network namespace", name);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return rsm_fail_errno(err, errno, "open /dev/net/tun");
	memcpy(ifr.ifr_name, name, len);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		if (errno == EINVAL)
			return rsm_fail(err, EINVAL,
					"network device '%s' is no tap, or has other flags", name);
		if (errno == EBUSY)
			return rsm_fail(err, EBUSY, "tap '%s' is in use by another program", name);
		return rsm_fail_errno(err, errno, "attach to tap '%s'", name);
	}
	if (net_tap_prepare(fd, err) < 0)
		return -err->code;
	return rsm_steal_fd(fd);
}
