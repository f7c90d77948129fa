// SPDX-License-Identifier: Apache-2.0
#include "runtime/settings.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "base/math.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define BOOT_TIMEOUT_MAX_S 3600
#define FILE_MAX_BYTES     65536

static int set_accel(struct settings *s, const char *value, struct rsm_error *err)
{
	for (int a = ACCEL_AUTO; a <= ACCEL_TCG; a++) {
		if (strcmp(accel_name((enum accel)a), value) == 0) {
			s->accel = (enum accel)a;
			return 0;
		}
	}
	return rsm_fail(err, EINVAL, "'%s' is none of auto, kvm, tcg", value);
}

static int set_path(char *to, const char *value, struct rsm_error *err)
{
	return rsm_format(to, PATH_MAX, "%s", value) < 0
		       ? rsm_fail(err, ENAMETOOLONG, "the path is too long")
		       : 0;
}

static int set_guest_dir(struct settings *s, const char *value, struct rsm_error *err)
{
	return set_path(s->guest_dir, value, err);
}

static int set_boot_timeout(struct settings *s, const char *value, struct rsm_error *err)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno || *end || end == value || n < 1 || n > BOOT_TIMEOUT_MAX_S)
		return rsm_fail(err, EINVAL, "'%s' is not between 1 and %d seconds", value,
				BOOT_TIMEOUT_MAX_S);
	s->boot_timeout_ms = (uint32_t)n * 1000;
	return 0;
}

static int set_fuse_trace(struct settings *s, const char *value, struct rsm_error *err)
{
	return set_path(s->fuse_trace, value, err);
}

static int set_scratch_dir(struct settings *s, const char *value, struct rsm_error *err)
{
	return set_path(s->scratch_dir, value, err);
}

static const struct setting {
	const char *env, *key;
	int (*set)(struct settings *s, const char *value, struct rsm_error *err);
} table[] = {
	{"RUNSM_ACCEL", "accel", set_accel},
	{"RUNSM_GUEST_DIR", "guest_dir", set_guest_dir},
	{"RUNSM_BOOT_TIMEOUT", "boot_timeout", set_boot_timeout},
	{"RUNSM_FUSE_TRACE", "fuse_trace", set_fuse_trace},
	{"RUNSM_SCRATCH_DIR", "scratch_dir", set_scratch_dir},
};

static const struct setting *find_key(const char *key)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(table); i++)
		if (strcmp(table[i].key, key) == 0)
			return &table[i];
	return NULL;
}

static int apply_file(const char *file, const struct rsm_json *tree, struct settings *s,
		      struct rsm_error *err)
{
	if (rsm_json_type(tree) != RSM_JSON_OBJECT)
		return rsm_fail(err, EINVAL, "%s: not an object", file);
	for (size_t i = 0; i < rsm_json_len(tree); i++) {
		const struct rsm_json *v = rsm_json_at(tree, i);
		const char *key = rsm_json_key_at(tree, i), *text;
		const struct setting *row = find_key(key);

		if (!row)
			return rsm_fail(err, EINVAL, "%s: unknown setting '%s'", file, key);
		if (rsm_json_type(v) == RSM_JSON_NUMBER)
			text = rsm_json_number_text(v);
		else if (rsm_json_type(v) == RSM_JSON_STRING)
			text = rsm_json_string(v);
		else
			return rsm_fail(err, EINVAL, "%s: %s: expected a string or a number", file,
					key);
		if (row->set(s, text, err) < 0)
			return rsm_error_prefix(err, "%s: %s", file, key);
	}
	return 0;
}

static int load_file(const char *file, struct settings *s, struct rsm_error *err)
{
	_cleanup_json_ struct rsm_json *tree = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len;
	int ret = rsm_read_file_at(AT_FDCWD, file, FILE_MAX_BYTES, &text, &len);

	if (ret == -ENOENT || ret == -ENOTDIR)
		return 0;
	if (ret < 0)
		return rsm_fail_errno(err, ret, "read '%s'", file);
	ret = rsm_json_parse(text, len, &tree, err);
	if (ret < 0)
		return rsm_error_prefix(err, "%s", file);
	return apply_file(file, tree, s, err);
}

int settings_load(const char *file, struct settings *ret, struct rsm_error *err)
{
	struct settings s = {.accel = ACCEL_AUTO, .boot_timeout_ms = 60000};
	int r;

	(void)strcpy(s.guest_dir, "/var/lib/runsm/guest");
	(void)strcpy(s.scratch_dir, "/var/lib/runsm/scratch");
	r = load_file(file, &s, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < RSM_ARRAY_SIZE(table); i++) {
		const char *value = getenv(table[i].env);

		if (value && value[0] && table[i].set(&s, value, err) < 0)
			return rsm_error_prefix(err, "%s", table[i].env);
	}
	*ret = s;
	return 0;
}

const char *accel_name(enum accel accel)
{
	static const char *const names[] = {"auto", "kvm", "tcg"};

	return names[accel];
}
