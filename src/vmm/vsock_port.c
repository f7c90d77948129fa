// SPDX-License-Identifier: Apache-2.0
#include "vmm/vsock_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

static struct vsock_port_list *bucket(struct vsock *v, uint32_t port)
{
	return &v->ports[vsock_bucket(port, 0)];
}

struct vsock_port *vsock_port_find(struct vsock *v, uint32_t port)
{
	struct vsock_port *p;

	LIST_FOREACH(p, bucket(v, port), hash)
	if (p->port == port)
		return p;
	return NULL;
}

static int add(struct vsock *v, uint32_t port, bool once, vsock_accept_fn accept, void *cookie)
{
	struct vsock_port *p;

	if (v->nports >= VSOCK_PORTS_MAX)
		return -ENOSPC;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->port = port;
	p->once = once;
	p->accept = accept;
	p->cookie = cookie;
	LIST_INSERT_HEAD(bucket(v, port), p, hash);
	v->nports++;
	return 0;
}

void vsock_port_remove(struct vsock *v, struct vsock_port *p)
{
	LIST_REMOVE(p, hash);
	v->nports--;
	free(p);
}

int vsock_listen(struct vsock *v, uint32_t port, vsock_accept_fn accept, void *cookie)
{
	return vsock_port_find(v, port) ? -EADDRINUSE : add(v, port, false, accept, cookie);
}

/*
 * The port is the only thing a connection shows. It is random so that a process in a container
 * cannot take the stdio of another that is just being started.
 */
int vsock_expect(struct vsock *v, vsock_accept_fn accept, void *cookie, uint32_t *ret_port)
{
	uint32_t port;
	int ret;

	do {
		if (getrandom(&port, sizeof(port), 0) != sizeof(port))
			return -EIO;
	} while (port < VSOCK_PORT_DYNAMIC || port == UINT32_MAX || vsock_port_find(v, port));
	ret = add(v, port, true, accept, cookie);
	if (ret == 0)
		*ret_port = port;
	return ret;
}

void vsock_forget(struct vsock *v, uint32_t port)
{
	struct vsock_port *p = vsock_port_find(v, port);

	if (p)
		vsock_port_remove(v, p);
}

void vsock_port_forget_all(struct vsock *v)
{
	for (unsigned i = 0; i < VSOCK_HASH_BUCKETS; i++)
		while (!LIST_EMPTY(&v->ports[i]))
			vsock_port_remove(v, LIST_FIRST(&v->ports[i]));
}
