/* SPDX-License-Identifier: Apache-2.0 */
#include "image/manifest.h"

#include "base/io.h"
#include "base/math.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MANIFEST_MAX (256 * 1024)
#define MODULES_MAX  1024

void img_guest_free(struct img_guest *g)
{
	for (size_t i = 0; i < g->n_modules; i++)
		free(g->modules[i]);
	free(g->modules);
	*g = (struct img_guest){0};
}

/* ---------------------------------------------------------------- writing */

static void put_file(struct rsm_jsongen *gen, const char *key, const struct img_file *f)
{
	rsm_jsongen_key(gen, key);
	rsm_jsongen_object(gen);
	rsm_jsongen_kstring(gen, "sha256", f->sha256);
	rsm_jsongen_key(gen, "bytes");
	rsm_jsongen_uint(gen, f->bytes);
	rsm_jsongen_end_object(gen);
}

void img_guest_json(struct rsm_jsongen *gen, const struct img_guest *g)
{
	rsm_jsongen_kint(gen, "format", IMG_MANIFEST_FORMAT);
	rsm_jsongen_kstring(gen, "kernelVersion", g->kernel_version);
	rsm_jsongen_kstring(gen, "boot", g->pvh ? "pvh" : "bzimage");
	rsm_jsongen_kbool(gen, "mmioCmdline", g->mmio_cmdline);
	rsm_jsongen_kbool(gen, "acpi", !g->no_acpi);
	if (g->package[0]) {
		rsm_jsongen_key(gen, "package");
		rsm_jsongen_object(gen);
		rsm_jsongen_kstring(gen, "name", g->package);
		rsm_jsongen_kstring(gen, "version", g->package_version);
		rsm_jsongen_end_object(gen);
	}
	rsm_jsongen_kstring(gen, "source", g->source);
	rsm_jsongen_key(gen, "modules");
	rsm_jsongen_array(gen);
	for (size_t i = 0; i < g->n_modules; i++)
		rsm_jsongen_string(gen, g->modules[i]);
	rsm_jsongen_end_array(gen);
	put_file(gen, "kernel", &g->kernel);
	put_file(gen, "initrd", &g->initrd);
	put_file(gen, "agent", &g->agent);
	rsm_jsongen_kstring(gen, "runsmVersion", g->runsm_version);
	rsm_jsongen_kstring(gen, "buildTime", g->build_time);
}

int img_manifest_write(int dirfd, const struct img_guest *g, struct rsm_error *err)
{
	_cleanup_jsongen_ struct rsm_jsongen *gen = NULL;
	const char *text;
	size_t len;
	int r = rsm_jsongen_new(true, &gen);

	if (r < 0)
		return rsm_fail_errno(err, r, IMG_MANIFEST_FILE);
	rsm_jsongen_object(gen);
	img_guest_json(gen, g);
	rsm_jsongen_end_object(gen);
	r = rsm_jsongen_finish(gen, &text, &len);
	if (!r)
		r = rsm_write_file_atomic_at(dirfd, IMG_MANIFEST_FILE, text, len, 0644);
	return r < 0 ? rsm_fail_errno(err, r, "write " IMG_MANIFEST_FILE) : 0;
}

/* ---------------------------------------------------------------- reading */

static int get_string(const struct rsm_json *v, const char *key, char *ret, size_t size,
		      struct rsm_error *err)
{
	const struct rsm_json *s = rsm_json_get(v, key);

	if (!s || rsm_json_type(s) != RSM_JSON_STRING ||
	    rsm_format(ret, size, "%s", rsm_json_string(s)) < 0)
		return rsm_fail(err, EINVAL, IMG_MANIFEST_FILE ": '%s' is missing or no fit", key);
	return 0;
}

static bool get_bool(const struct rsm_json *v, const char *key)
{
	const struct rsm_json *b = rsm_json_get(v, key);

	return b && rsm_json_type(b) == RSM_JSON_BOOL && rsm_json_bool(b);
}

static int get_file(const struct rsm_json *v, const char *key, struct img_file *ret,
		    struct rsm_error *err)
{
	const struct rsm_json *f = rsm_json_get(v, key);
	const struct rsm_json *bytes = rsm_json_get(f, "bytes");

	if (!bytes || rsm_json_type(bytes) != RSM_JSON_NUMBER ||
	    !rsm_json_uint64(bytes, &ret->bytes))
		return rsm_fail(err, EINVAL, IMG_MANIFEST_FILE ": '%s' is missing or no fit", key);
	return get_string(f, "sha256", ret->sha256, sizeof(ret->sha256), err);
}

static int get_modules(const struct rsm_json *v, struct img_guest *g, struct rsm_error *err)
{
	const struct rsm_json *list = rsm_json_get(v, "modules");
	size_t n = rsm_json_len(list);

	if (!list || rsm_json_type(list) != RSM_JSON_ARRAY || n > MODULES_MAX)
		return rsm_fail(err, EINVAL, IMG_MANIFEST_FILE ": 'modules' is missing or no fit");
	g->modules = calloc(n + 1, sizeof(*g->modules));
	if (!g->modules)
		return rsm_fail_errno(err, ENOMEM, IMG_MANIFEST_FILE);
	for (; g->n_modules < n; g->n_modules++) {
		const struct rsm_json *name = rsm_json_at(list, g->n_modules);

		if (rsm_json_type(name) != RSM_JSON_STRING)
			return rsm_fail(err, EINVAL, IMG_MANIFEST_FILE ": 'modules' holds a %s",
					rsm_json_type_name(rsm_json_type(name)));
		g->modules[g->n_modules] = strdup(rsm_json_string(name));
		if (!g->modules[g->n_modules])
			return rsm_fail_errno(err, ENOMEM, IMG_MANIFEST_FILE);
	}
	return 0;
}

static int get_all(const struct rsm_json *v, struct img_guest *g, struct rsm_error *err)
{
	const struct rsm_json *format = rsm_json_get(v, "format");
	const struct rsm_json *package = rsm_json_get(v, "package");
	const struct {
		const struct rsm_json *in;
		const char *key;
		char *ret;
		size_t size;
	} strings[] = {
		{v, "kernelVersion", g->kernel_version, sizeof(g->kernel_version)},
		{v, "source", g->source, sizeof(g->source)},
		{v, "runsmVersion", g->runsm_version, sizeof(g->runsm_version)},
		{v, "buildTime", g->build_time, sizeof(g->build_time)},
		{package, "name", g->package, sizeof(g->package)},
		{package, "version", g->package_version, sizeof(g->package_version)},
	};
	char boot[16];
	int64_t number;
	int r;

	if (!format || rsm_json_type(format) != RSM_JSON_NUMBER ||
	    !rsm_json_int64(format, &number) || number != IMG_MANIFEST_FORMAT)
		return rsm_fail(err, EINVAL, IMG_MANIFEST_FILE " is not of format %d",
				IMG_MANIFEST_FORMAT);
	for (size_t i = 0; i < RSM_ARRAY_SIZE(strings); i++) {
		if (!strings[i].in)
			continue;
		r = get_string(strings[i].in, strings[i].key, strings[i].ret, strings[i].size, err);
		if (r < 0)
			return r;
	}
	r = get_string(v, "boot", boot, sizeof(boot), err);
	if (r < 0)
		return r;
	g->pvh = strcmp(boot, "pvh") == 0;
	g->mmio_cmdline = get_bool(v, "mmioCmdline");
	g->no_acpi = rsm_json_get(v, "acpi") && !get_bool(v, "acpi");
	r = get_file(v, "kernel", &g->kernel, err);
	if (!r)
		r = get_file(v, "initrd", &g->initrd, err);
	if (!r)
		r = get_file(v, "agent", &g->agent, err);
	return r < 0 ? r : get_modules(v, g, err);
}

int img_manifest_read(int dirfd, struct img_guest *ret, struct rsm_error *err)
{
	_cleanup_json_ struct rsm_json *root = NULL;
	_cleanup_guest_ struct img_guest g = {0};
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = rsm_read_file_at(dirfd, IMG_MANIFEST_FILE, MANIFEST_MAX, &text, &len);

	if (r < 0)
		return rsm_fail_errno(err, r, "read " IMG_MANIFEST_FILE);
	r = rsm_json_parse(text, len, &root, err);
	if (r < 0) {
		(void)rsm_error_prefix(err, IMG_MANIFEST_FILE);
		return r;
	}
	r = get_all(root, &g, err);
	if (r < 0)
		return r;
	*ret = g;
	g = (struct img_guest){0};
	return 0;
}
