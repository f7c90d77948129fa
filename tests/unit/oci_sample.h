/* SPDX-License-Identifier: Apache-2.0 */
/* A minimal config.json with members put in somewhere, for tests of the parser. */
#ifndef TESTS_UNIT_OCI_SAMPLE_H
#define TESTS_UNIT_OCI_SAMPLE_H

#include "runtime/oci.h"

#include "cmocka_all.h"

#include <string.h>

/* Where a case's members are put into an otherwise minimal config.json. */
enum where { TOP, PROCESS, MOUNT, LINUX, RESOURCES, SECCOMP };

#define NAMESPACES                                                                                 \
	"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},"            \
	"{\"type\":\"uts\"},{\"type\":\"mount\"}]"

static int parse_with(enum where where, const char *members, struct oci_spec **ret,
		      struct rsm_error *err)
{
	_cleanup_buf_ struct rsm_buf b = {0};
	const char *sep = members[0] ? "," : "";
#define IN(w) (where == (w) ? members : ""), (where == (w) ? sep : "")

	(void)rsm_buf_addf(&b, "{%s%s\"process\":{%s%s\"x\":0", IN(TOP), IN(PROCESS));
	if (!(where == PROCESS && strstr(members, "\"args\"")))
		(void)rsm_buf_addstr(&b, ",\"args\":[\"sh\"]");
	if (!(where == PROCESS && strstr(members, "\"cwd\"")))
		(void)rsm_buf_addstr(&b, ",\"cwd\":\"/\"");
	(void)rsm_buf_addstr(&b, "}");
	if (!(where == TOP && strstr(members, "\"root\"")))
		(void)rsm_buf_addstr(&b, ",\"root\":{\"path\":\"rootfs\"}");
	if (!(where == TOP && strstr(members, "\"ociVersion\"")))
		(void)rsm_buf_addstr(&b, ",\"ociVersion\":\"1.0.2-dev\"");
	if (where == MOUNT)
		(void)rsm_buf_addf(&b, ",\"mounts\":[{%s}]", members);
	(void)rsm_buf_addf(&b, ",\"linux\":{%s%s\"resources\":{%s}", IN(LINUX),
			   where == RESOURCES ? members : "");
	if (where == SECCOMP)
		(void)rsm_buf_addf(&b, ",\"seccomp\":{%s}", members);
	if (!(where == LINUX && strstr(members, "\"namespaces\"")))
		(void)rsm_buf_addstr(&b, "," NAMESPACES);
	(void)rsm_buf_addstr(&b, "}}");
	assert_int_equal(rsm_buf_ok(&b), 0);
	return oci_spec_parse(b.data, b.len, ret, err);
}

#endif
