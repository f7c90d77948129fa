// SPDX-License-Identifier: Apache-2.0
/*
 * What the parser of config.json makes of it: each line of stdin is a config.json, and gets a line
 * of JSON on stdout: {"error": MESSAGE or null, "warnings": TEXT, "seen": [[PATH, STATUS, NOTE], …]}
 * with a row per member that the parser knows. For contrib/oci-fields.
 */
#include "runtime/oci_parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void seen(void *cookie, const char *path, enum oci_status status, const char *note)
{
	static const char *const names[] = {"supported", "ignored", "refused"};
	struct rsm_jsongen *g = cookie;

	rsm_jsongen_array(g);
	rsm_jsongen_string(g, path);
	rsm_jsongen_string(g, names[status]);
	rsm_jsongen_string(g, note ? note : "");
	rsm_jsongen_end_array(g);
}

static void look_at(const char *line, size_t len)
{
	_cleanup_jsongen_ struct rsm_jsongen *g = NULL;
	_cleanup_spec_ struct oci_spec *spec = NULL;
	struct rsm_error err = RSM_ERROR_INIT;
	const char *text;
	int ret;

	rsm_assert(rsm_jsongen_new(false, &g) == 0);
	rsm_jsongen_object(g);
	rsm_jsongen_key(g, "seen");
	rsm_jsongen_array(g);
	ret = oci_spec_parse_seen(line, len, seen, g, &spec, &err);
	rsm_jsongen_end_array(g);
	rsm_jsongen_key(g, "error");
	if (ret < 0)
		rsm_jsongen_string(g, err.message);
	else
		rsm_jsongen_null(g);
	rsm_jsongen_kstring(g, "warnings", spec && spec->warnings.data ? spec->warnings.data : "");
	rsm_jsongen_end_object(g);
	rsm_assert(rsm_jsongen_finish(g, &text, NULL) == 0);
	(void)puts(text);
}

int main(void)
{
	size_t size = 0;
	char *line = NULL;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) > 0)
		look_at(line, (size_t)len);
	free(line);
	return ferror(stdin) || fflush(stdout) ? 1 : 0;
}
