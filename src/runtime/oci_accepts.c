// SPDX-License-Identifier: Apache-2.0
/* What this parser takes, found out by asking it. */
#include "runtime/oci_parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TRY_MAX 1024

static bool parses(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static bool parses(const char *fmt, ...)
{
	char text[TRY_MAX];
	struct oci_spec *spec = NULL;
	va_list ap;
	int n, ret;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rsm_assert(n > 0 && (size_t)n < sizeof(text));
	ret = oci_spec_parse(text, (size_t)n, &spec, NULL);
	oci_spec_free(spec);
	return ret == 0;
}

/* The least config.json there is, with @top, @ns and @in_linux, each "" or begun by a comma. */
#define TRY                                                                                        \
	"{\"ociVersion\":\"1.0.0\",\"process\":{\"args\":[\"a\"],\"cwd\":\"/\"},"                  \
	"\"root\":{\"path\":\"r\"}%s,\"linux\":{\"namespaces\":[{\"type\":\"pid\"},"               \
	"{\"type\":\"network\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"}%s]%s}}"

#define MAPPING "[{\"containerID\":0,\"hostID\":0,\"size\":1}]"

bool oci_accepts_namespace(const char *type)
{
	const char *with = "";
	char more[64];

	(void)snprintf(more, sizeof(more), ",{\"type\":\"%s\"}", type);
	if (strstr(TRY, more + 1)) /* without these there is no container */
		return parses(TRY, "", "", "");
	if (strcmp(type, "user") == 0)
		with = ",\"uidMappings\":" MAPPING ",\"gidMappings\":" MAPPING;
	return parses(TRY, "", more, with);
}

bool oci_accepts_linux(const char *members)
{
	return parses(TRY, "", "", members);
}

bool oci_accepts_mount(const char *members)
{
	char mounts[256];
	int n = snprintf(mounts, sizeof(mounts), ",\"mounts\":[{\"destination\":\"/m\",%s}]",
			 members);

	rsm_assert(n > 0 && (size_t)n < sizeof(mounts));
	return parses(TRY, mounts, "", "");
}
