/* SPDX-License-Identifier: Apache-2.0 */
#include "image/ko.h"

#include "base/cursor.h"
#include "base/io.h"
#include "image/elf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void img_ko_set_free(struct img_ko_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		free(set->ko[i].data);
	free(set->ko);
	*set = (struct img_ko_set){0};
}

bool img_ko_name(const char *file, char ret[IMG_KO_NAME_MAX])
{
	const char *slash = strrchr(file, '/');
	const char *name = slash ? slash + 1 : file;
	const char *end = strstr(name, ".ko");
	size_t len = end ? (size_t)(end - name) : 0;

	if (!len || len >= IMG_KO_NAME_MAX || (end[3] != '\0' && end[3] != '.'))
		return false;
	for (size_t i = 0; i < len; i++)
		ret[i] = name[i] == '-' ? '_' : name[i];
	ret[len] = '\0';
	return true;
}

/* "key=value" at @s? The value, else NULL. */
static const char *value_of(const char *s, const char *key)
{
	size_t len = strlen(key);

	return strncmp(s, key, len) == 0 && s[len] == '=' ? s + len + 1 : NULL;
}

int img_ko_read(struct img_ko *ko, struct rsm_error *err)
{
	struct rsm_cursor c;
	struct img_elf elf;
	const void *modinfo;
	const char *s;
	size_t len;
	int r;

	r = img_elf_open(ko->data, ko->len, &elf, err);
	if (r < 0) {
		(void)rsm_error_prefix(err, "kernel module '%s'", ko->name);
		return r;
	}
	modinfo = img_elf_section(&elf, ".modinfo", &len);
	if (elf.hdr.e_type != ET_REL || !modinfo)
		return rsm_fail(err, ENOEXEC, "kernel module '%s': no .modinfo section", ko->name);

	c = rsm_cursor(modinfo, len);
	while ((s = rsm_cursor_string(&c))) {
		const char *depends = value_of(s, "depends");
		const char *vermagic = value_of(s, "vermagic");

		if (depends && rsm_format(ko->depends, sizeof(ko->depends), "%s", depends) < 0)
			return rsm_fail(err, ENOEXEC, "kernel module '%s': too many dependencies",
					ko->name);
		if (vermagic && rsm_format(ko->vermagic, sizeof(ko->vermagic), "%.*s",
					   (int)strcspn(vermagic, " "), vermagic) < 0)
			return rsm_fail(err, ENOEXEC, "kernel module '%s': vermagic too long",
					ko->name);
	}
	for (char *p = ko->depends; *p; p++)
		if (*p == '-')
			*p = '_';
	return 0;
}

static struct img_ko *find(const struct img_ko_set *set, const char *name, size_t len)
{
	for (size_t i = 0; i < set->n; i++)
		if (strlen(set->ko[i].name) == len && memcmp(set->ko[i].name, name, len) == 0)
			return &set->ko[i];
	return NULL;
}

const struct img_ko *img_ko_find(const struct img_ko_set *set, const char *name)
{
	return find(set, name, strlen(name));
}

int img_ko_set_add(struct img_ko_set *set, const char *name, void *data, size_t len,
		   struct rsm_error *err)
{
	struct img_ko ko = {.data = data, .len = len};
	int r;

	if (rsm_format(ko.name, sizeof(ko.name), "%s", name) < 0)
		return rsm_fail(err, ENAMETOOLONG, "kernel module name '%s' is too long", name);
	if (find(set, name, strlen(name)))
		return rsm_fail(err, EEXIST, "kernel module '%s' is there twice", name);
	r = img_ko_read(&ko, err);
	if (r < 0)
		return r;
	if (set->n == set->size) {
		size_t size = set->size ? 2 * set->size : 64;
		struct img_ko *grown = reallocarray(set->ko, size, sizeof(*grown));

		if (!grown)
			return rsm_fail_errno(err, ENOMEM, "kernel module '%s'", name);
		set->ko = grown;
		set->size = size;
	}
	set->ko[set->n++] = ko;
	return 0;
}

static int visit(struct img_ko_set *set, struct img_ko *ko, size_t *order, size_t *n_order,
		 struct rsm_error *err)
{
	size_t len;
	int r = 0;

	if (ko->visiting)
		return rsm_fail(err, ELOOP, "kernel module '%s' depends on itself", ko->name);
	if (ko->ordered)
		return 0;
	ko->visiting = true;
	for (const char *p = ko->depends; !r && *p; p += len + (p[len] == ',')) {
		struct img_ko *dep;

		len = strcspn(p, ",");
		if (!len)
			continue;
		dep = find(set, p, len);
		r = dep ? visit(set, dep, order, n_order, err)
			: rsm_fail(err, ENOENT,
				   "kernel module '%s' needs module '%.*s', which is not there",
				   ko->name, (int)len, p);
	}
	ko->visiting = false;
	if (r < 0)
		return r;
	ko->ordered = true;
	order[(*n_order)++] = (size_t)(ko - set->ko);
	return 0;
}

int img_ko_order(struct img_ko_set *set, const char *name, size_t *order, size_t *n_order,
		 struct rsm_error *err)
{
	struct img_ko *ko = find(set, name, strlen(name));

	if (!ko)
		return rsm_fail(err, ENOENT, "kernel module '%s' is not there", name);
	return visit(set, ko, order, n_order, err);
}
