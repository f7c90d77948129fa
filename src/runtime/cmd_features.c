// SPDX-License-Identifier: Apache-2.0
/*
 * What this runtime can do, as runtime-spec's features.md says it: the names are those of the
 * parser's tables, and what depends on more than a name is tried on the parser.
 */
#include "runtime/cmd.h"

#include "config.h"

#include "runtime/cgroup_props.h"
#include "runtime/oci.h"
#include "runtime/scratch.h"
#include "runtime/systemd.h"
#include "runtime/vmconfig.h"

#include <seccomp.h>
#include <stdio.h>

static void named_list(struct rsm_jsongen *g, const char *key, const char *(*name)(size_t i))
{
	rsm_jsongen_key(g, key);
	rsm_jsongen_array(g);
	for (size_t i = 0; name(i); i++)
		rsm_jsongen_string(g, name(i));
	rsm_jsongen_end_array(g);
}

static const char *cap_name(size_t i)
{
	return oci_cap_name((unsigned)i);
}

static void enabled(struct rsm_jsongen *g, const char *key, bool on)
{
	rsm_jsongen_key(g, key);
	rsm_jsongen_object(g);
	rsm_jsongen_kbool(g, "enabled", on);
	rsm_jsongen_end_object(g);
}

#define MAPPING "[{\"containerID\":0,\"hostID\":1000,\"size\":1}]"
#define IDMAPPED_MOUNT                                                                             \
	"\"type\":\"bind\",\"source\":\"/s\",\"options\":[\"bind\"],"                              \
	"\"uidMappings\":" MAPPING ",\"gidMappings\":" MAPPING

static void linux_features(struct rsm_jsongen *g)
{
	rsm_jsongen_key(g, "linux");
	rsm_jsongen_object(g);
	rsm_jsongen_key(g, "namespaces");
	rsm_jsongen_array(g);
	for (size_t i = 0; oci_namespace_name(i); i++)
		if (oci_accepts_namespace(oci_namespace_name(i)))
			rsm_jsongen_string(g, oci_namespace_name(i));
	rsm_jsongen_end_array(g);
	named_list(g, "capabilities", cap_name);
	rsm_jsongen_key(g, "cgroup");
	rsm_jsongen_object(g);
	/* On the host. Inside the guest it is always version 2. */
	rsm_jsongen_kbool(g, "v1", true);
	rsm_jsongen_kbool(g, "v2", true);
	rsm_jsongen_kbool(g, "systemd", systemd_available());
	rsm_jsongen_kbool(g, "systemdUser", systemd_available());
	rsm_jsongen_kbool(
		g, "rdma",
		oci_accepts_linux(",\"resources\":{\"rdma\":{\"m\":{\"hcaHandles\":1}}}"));
	rsm_jsongen_end_object(g);
	rsm_jsongen_key(g, "seccomp");
	rsm_jsongen_object(g);
	rsm_jsongen_kbool(g, "enabled", true);
	named_list(g, "actions", oci_seccomp_action_name);
	named_list(g, "operators", oci_seccomp_operator_name);
	named_list(g, "archs", oci_seccomp_arch_name);
	named_list(g, "knownFlags", oci_seccomp_flag_name);
	named_list(g, "supportedFlags", oci_seccomp_flag_name);
	rsm_jsongen_end_object(g);
	enabled(g, "apparmor", false);
	enabled(g, "selinux", false);
	enabled(g, "intelRdt", oci_accepts_linux(",\"intelRdt\":{\"closID\":\"c\"}"));
	enabled(g, "netDevices", oci_accepts_linux(",\"netDevices\":{\"eth0\":{\"name\":\"e\"}}"));
	rsm_jsongen_key(g, "mountExtensions");
	rsm_jsongen_object(g);
	enabled(g, "idmap", oci_accepts_mount(IDMAPPED_MOUNT));
	rsm_jsongen_end_object(g);
	rsm_jsongen_end_object(g);
}

static void verbs(struct rsm_jsongen *g)
{
	rsm_jsongen_key(g, "commands");
	rsm_jsongen_array(g);
	for (size_t i = 0; cmd_verbs[i]; i++)
		if (!cmd_verbs[i]->hidden)
			rsm_jsongen_string(g, cmd_verbs[i]->name);
	rsm_jsongen_end_array(g);
}

static int run(const struct cmd_env *env, const void *opts, int argc, char **argv,
	       struct rsm_error *err)
{
	_cleanup_jsongen_ struct rsm_jsongen *g = NULL;
	const struct scmp_version *v = seccomp_version();
	char version[40] = "";
	const char *text;

	if (v)
		(void)snprintf(version, sizeof(version), "%u.%u.%u", v->major, v->minor, v->micro);
	if (rsm_jsongen_new(true, &g) < 0)
		return rsm_fail(err, ENOMEM, "out of memory");
	rsm_jsongen_object(g);
	rsm_jsongen_kstring(g, "ociVersionMin", "1.0.0");
	rsm_jsongen_kstring(g, "ociVersionMax", RSM_SPEC_VERSION);
	named_list(g, "hooks", oci_hook_kind_name);
	named_list(g, "mountOptions", oci_mount_option_name);
	linux_features(g);
	rsm_jsongen_key(g, "annotations");
	rsm_jsongen_object(g);
	rsm_jsongen_kstring(g, "io.runsm.version", PACKAGE_VERSION);
	rsm_jsongen_kstring(g, "io.runsm.commit", RUNSM_COMMIT);
	rsm_jsongen_kstring(g, "io.github.seccomp.libseccomp.version", version);
	rsm_jsongen_end_object(g);
	/* Space on the host's disk; a device of the host's network; the host's systemd. */
	rsm_jsongen_key(g, "potentiallyUnsafeConfigAnnotations");
	rsm_jsongen_array(g);
	rsm_jsongen_string(g, SCRATCH_ANNOTATION);
	rsm_jsongen_string(g, TAP_ANNOTATION);
	rsm_jsongen_string(g, CGROUP_PROPS_ANNOTATION);
	rsm_jsongen_end_array(g);
	verbs(g);
	rsm_jsongen_end_object(g);
	if (rsm_jsongen_finish(g, &text, NULL) < 0)
		return rsm_fail(err, ENOMEM, "out of memory");
	printf("%s", text);
	return 0;
}

const struct cmd_verb cmd_features = {
	.name = "features",
	.summary = "show what this runtime supports, as JSON",
	.usage = "",
	.max_args = 0,
	.run = run,
};
