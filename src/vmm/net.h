/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio network device: Ethernet frames between a guest and a tap.
 *
 * Spec: virtio 1.2, 5.1
 */
#ifndef RSM_VMM_NET_H
#define RSM_VMM_NET_H

#include "base/error.h"
#include "base/loop.h"
#include "vmm/vdev.h"

#include <stdbool.h>
#include <stdint.h>

#define NET_MAC_LEN 6
#define NET_MTU_MIN 68 /* RFC 791 */
#define NET_MTU_MAX 65535

/**
 * struct net_config - A network device
 * @fd:		frames go through it, each with a struct virtio_net_hdr_v1 in front; non-blocking
 * @tap:	@fd is a tap from net_tap_open() or net_tap_prepare(); else a socket of packets, with
 *		the same format
 * @mac:	the guest's address; all zero: a random one
 * @mtu:	told to the guest; 0: not told
 */
struct net_config {
	int fd;
	bool tap;
	uint8_t mac[NET_MAC_LEN];
	uint16_t mtu;
};

/* Packets since the device was made; dropped ones count as dropped only. */
struct net_stats {
	uint64_t rx_packets, rx_dropped, tx_packets, tx_dropped;
};

/**
 * net_new() - Make the device
 * @loop:	serves its queues
 * @config:	@config->fd is the device's on success
 *
 * Return: 0, -EINVAL for an address of a group or an impossible MTU, -ENOMEM
 */
int net_new(struct rsm_loop *loop, const struct net_config *config, struct vdev **ret,
	    struct rsm_error *err);

/* The queues are stopped. NULL is fine. */
void net_free(struct vdev *d);

/* The guest's address: as given, or the random one. */
void net_mac(const struct vdev *d, uint8_t ret[NET_MAC_LEN]);

struct net_stats net_stats(const struct vdev *d);

/* ---- net_tap.c */

/**
 * net_tap_open() - Attach to a tap of the network namespace we are in
 * @name:	it exists: none is made
 * Return: fd, or -errno with @err: -ENODEV if there is no such interface, -EINVAL if it is none of
 * that kind, -EBUSY if somebody else is attached
 */
int net_tap_open(const char *name, struct rsm_error *err);

/**
 * net_tap_prepare() - Make an attached tap speak our format, non-blocking
 * Return: 0, or -errno with @err: -EINVAL if @fd is no tap, or was attached with other flags than
 * IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
 */
int net_tap_prepare(int fd, struct rsm_error *err);

/* What the guest takes in one piece from now on: of VIRTIO_NET_F_GUEST_*, others are ignored. */
int net_tap_set_offloads(int fd, uint64_t features);

#endif
