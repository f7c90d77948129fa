/* SPDX-License-Identifier: Apache-2.0 */
#include "image/modules_dir.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "image/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>

#define MODULE_MAX  ((size_t)64 * 1024 * 1024)
#define BUILTIN_MAX ((size_t)4 * 1024 * 1024)

RSM_DEFINE_CLEANUP(FTS *, fts_close, NULL);

static int add(const char *path, const char *name, struct img_ko_set *set, struct rsm_error *err)
{
	_cleanup_free_ char *raw = NULL;
	_cleanup_free_ void *data = NULL;
	size_t len;
	int r = rsm_read_file_at(AT_FDCWD, path, MODULE_MAX, &raw, &len);

	if (r < 0)
		return rsm_fail_errno(err, r, "read '%s'", path);
	if (strstr(path, ".ko."))
		r = img_decompress(raw, len, path, MODULE_MAX, &data, &len, err);
	else
		data = rsm_steal_ptr(raw);
	if (!r)
		r = img_ko_set_add(set, name, data, len, err);
	if (!r)
		data = NULL;
	return r;
}

static int walk(FTS *fts, struct img_ko_set *set, char **builtin, struct rsm_error *err)
{
	const FTSENT *e;

	while (errno = 0, (e = fts_read(fts))) {
		char name[IMG_KO_NAME_MAX];
		int r = 0;

		if (e->fts_info == FTS_ERR || e->fts_info == FTS_DNR || e->fts_info == FTS_NS)
			return rsm_fail_errno(err, e->fts_errno, "read '%s'", e->fts_path);
		if (e->fts_info != FTS_F)
			continue;
		if (strcmp(e->fts_name, "modules.builtin") == 0 && !*builtin)
			r = rsm_read_file_at(AT_FDCWD, e->fts_accpath, BUILTIN_MAX, builtin, NULL);
		else if (img_ko_name(e->fts_name, name))
			r = add(e->fts_accpath, name, set, err);
		if (r < 0)
			return r;
	}
	return errno ? rsm_fail_errno(err, errno, "read the module directory") : 0;
}

int img_modules_dir_read(const char *dir, struct img_ko_set *ret, char **ret_builtin,
			 struct rsm_error *err)
{
	char *const paths[] = {(char *)dir, NULL};
	_cleanup_(fts_closep) FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	_cleanup_free_ char *builtin = NULL;
	struct img_ko_set set = {0};
	int r;

	if (!fts)
		return rsm_fail_errno(err, errno, "open module directory '%s'", dir);
	r = walk(fts, &set, &builtin, err);
	if (!r && !set.n && !builtin)
		r = rsm_fail(err, ENOENT, "no kernel modules below '%s'", dir);
	if (r < 0) {
		img_ko_set_free(&set);
		return r;
	}
	*ret = set;
	*ret_builtin = rsm_steal_ptr(builtin);
	return 0;
}
