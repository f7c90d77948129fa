/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules: what one says of itself, and the order in which a set of them loads. */
#ifndef RSM_IMAGE_KO_H
#define RSM_IMAGE_KO_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define IMG_KO_NAME_MAX    64 /* with NUL; the kernel's MODULE_NAME_LEN is 56 */
#define IMG_KO_DEPENDS_MAX 512
#define IMG_KO_WHEN_MAX    16

/**
 * struct img_ko - One module
 * @name:	as lsmod shows it: '-' turned into '_'
 * @depends:	names, separated by commas, "" for none
 * @vermagic:	kernel version it was built for, without the options behind it
 * @when:	condition for loading it (initramfs.h), "" for none
 * @data:	the file's contents, owned
 * @ordered:	has its place in the load order
 * @visiting:	the dependency search is below it
 */
struct img_ko {
	char name[IMG_KO_NAME_MAX];
	char depends[IMG_KO_DEPENDS_MAX];
	char vermagic[128];
	char when[IMG_KO_WHEN_MAX];
	void *data;
	size_t len;
	bool ordered;
	bool visiting;
};

struct img_ko_set {
	struct img_ko *ko;
	size_t n;
	size_t size;
};

void img_ko_set_free(struct img_ko_set *set);

/**
 * img_ko_name() - Module name of a file name
 * @file:	"virtio-rng.ko", "fuse.ko.xz"; a path's last component counts
 * Return: false if it is no module's name
 */
bool img_ko_name(const char *file, char ret[IMG_KO_NAME_MAX]);

/**
 * img_ko_read() - Fill depends and vermagic from the .modinfo section
 * @ko:		@ko->data and @ko->len are set
 * Return: 0, or -ENOEXEC with @err
 */
int img_ko_read(struct img_ko *ko, struct rsm_error *err);

/* Take over @data as module @name. Return: 0, -EEXIST, -ENOMEM, or what img_ko_read() says; on
 * error @data is still the caller's. */
int img_ko_set_add(struct img_ko_set *set, const char *name, void *data, size_t len,
		   struct rsm_error *err);

/* The module of that name, NULL if it is not in the set. */
const struct img_ko *img_ko_find(const struct img_ko_set *set, const char *name);

/**
 * img_ko_order() - Append a module and what it depends on, dependencies first
 * @order:	indices into @set->ko; room for @set->n
 * @n_order:	how many are in it; a module already there is not added again
 *
 * Return: 0; -ENOENT if @name or a dependency is not in the set; -ELOOP if they depend on each
 * other in a circle
 */
int img_ko_order(struct img_ko_set *set, const char *name, size_t *order, size_t *n_order,
		 struct rsm_error *err);

#endif
