// SPDX-License-Identifier: Apache-2.0
#include "runtime/cgroup_file.h"

#include "base/io.h"
#include "base/json.h"

#include <fcntl.h>
#include <string.h>

#define FILE_NAME     "cgroup.json"
#define FILE_SIZE_MAX (1U << 20)

int cgroup_write(int dirfd, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = write(fd, text, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

int cgroup_read_u64(int dirfd, const char *name, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	char *end;
	int r = rsm_read_file_at(dirfd, name, CGROUP_FILE_MAX, &text, NULL);

	if (r < 0)
		return r;
	if (strncmp(text, "max", 3) == 0) {
		*ret = UINT64_MAX;
		return 0;
	}
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return end == text || errno ? -EINVAL : 0;
}

int cgroup_save(const struct cgroup *cg, int statefd, struct rsm_error *err)
{
	_cleanup_jsongen_ struct rsm_jsongen *g = NULL;
	const char *text = NULL;
	size_t len = 0;
	int ret = rsm_jsongen_new(true, &g);

	if (ret < 0)
		return rsm_fail(err, ENOMEM, "out of memory");
	rsm_jsongen_object(g);
	rsm_jsongen_kbool(g, "v2", cg->v2);
	rsm_jsongen_kbool(g, "ownParent", cg->own_parent);
	if (cg->unit) {
		rsm_jsongen_kstring(g, "unit", cg->unit);
		rsm_jsongen_kstring(g, "unitText", cg->unit_text);
		rsm_jsongen_kbool(g, "unitUser", cg->unit_user);
	}
	rsm_jsongen_key(g, "dirs");
	rsm_jsongen_array(g);
	for (size_t i = 0; i < cg->ndirs; i++) {
		rsm_jsongen_object(g);
		rsm_jsongen_kstring(g, "names", cg->dirs[i].names);
		rsm_jsongen_kstring(g, "mount", cg->dirs[i].mount);
		rsm_jsongen_kstring(g, "path", cg->dirs[i].path);
		rsm_jsongen_kbool(g, "shared", cg->dirs[i].shared);
		rsm_jsongen_end_object(g);
	}
	rsm_jsongen_end_array(g);
	rsm_jsongen_end_object(g);
	ret = rsm_jsongen_finish(g, &text, &len);
	if (ret == 0)
		ret = rsm_write_file_atomic_at(statefd, FILE_NAME, text, len, 0600);
	return ret < 0 ? rsm_fail_errno(err, ret, "write " FILE_NAME " of the container") : 0;
}

static const char *string_of(const struct rsm_json *v, const char *key)
{
	const struct rsm_json *m = rsm_json_get(v, key);

	return m && rsm_json_type(m) == RSM_JSON_STRING ? rsm_json_string(m) : NULL;
}

static bool bool_of(const struct rsm_json *v, const char *key)
{
	const struct rsm_json *m = rsm_json_get(v, key);

	return m && rsm_json_type(m) == RSM_JSON_BOOL && rsm_json_bool(m);
}

static int take_dir(struct cgroup *cg, const struct rsm_json *v, struct rsm_error *err)
{
	const char *names = string_of(v, "names"), *mount = string_of(v, "mount"),
		   *path = string_of(v, "path");
	struct cgroup_dir *d = &cg->dirs[cg->ndirs];
	char full[PATH_MAX];

	if (!names || !mount || !path || mount[0] != '/' || path[0] != '/' ||
	    strlen(names) >= sizeof(d->names))
		return rsm_fail(err, EINVAL, FILE_NAME " of the container is damaged");
	(void)strcpy(d->names, names);
	d->mount = strdup(mount);
	d->path = strdup(path);
	cg->ndirs++;
	d->fd = -1;
	d->shared = bool_of(v, "shared");
	if (!d->mount || !d->path)
		return rsm_fail(err, ENOMEM, "out of memory");
	if (cgroup_dir_path(d, full, sizeof(full)) == 0)
		d->fd = open(full, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return 0;
}

static int take_unit(struct cgroup *cg, const struct rsm_json *v, struct rsm_error *err)
{
	const char *unit = string_of(v, "unit"), *text = string_of(v, "unitText");

	if (!unit)
		return 0;
	if (!text)
		return rsm_fail(err, EINVAL, FILE_NAME " of the container is damaged");
	cg->unit = strdup(unit);
	cg->unit_text = strdup(text);
	cg->unit_user = bool_of(v, "unitUser");
	return cg->unit && cg->unit_text ? 0 : rsm_fail(err, ENOMEM, "out of memory");
}

int cgroup_load(int statefd, struct cgroup **ret, struct rsm_error *err)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ struct rsm_json *tree = NULL;
	_cleanup_cgroup_ struct cgroup *cg = NULL;
	const struct rsm_json *dirs;
	size_t len;
	int r = rsm_read_file_at(statefd, FILE_NAME, FILE_SIZE_MAX, &text, &len);

	*ret = NULL;
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return rsm_fail_errno(err, r, "read " FILE_NAME " of the container");
	if (rsm_json_parse(text, len, &tree, NULL) < 0)
		return rsm_fail(err, EINVAL, FILE_NAME " of the container is damaged");
	cg = calloc(1, sizeof(*cg));
	if (!cg)
		return rsm_fail(err, ENOMEM, "out of memory");
	cg->v2 = bool_of(tree, "v2");
	cg->own_parent = bool_of(tree, "ownParent");
	r = take_unit(cg, tree, err);
	if (r < 0)
		return r;
	dirs = rsm_json_get(tree, "dirs");
	for (size_t i = 0; i < rsm_json_len(dirs) && i < CGROUP_DIRS_MAX; i++) {
		r = take_dir(cg, rsm_json_at(dirs, i), err);
		if (r < 0)
			return r;
	}
	*ret = rsm_steal_ptr(cg);
	return 0;
}
