// SPDX-License-Identifier: Apache-2.0
#include "runtime/cmd.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"
#include "runtime/oci.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct spec_opts {
	const char *bundle;
	bool rootless;
};

static const struct cmd_opt opts[] = {
	{"bundle", 'b', CMD_STRING, offsetof(struct spec_opts, bundle),
	 "path to the root of the bundle directory"},
	{"rootless", 0, CMD_FLAG, offsetof(struct spec_opts, rootless),
	 "for a container in a user namespace, whose root is the caller"},
};

static int run(const struct cmd_env *env, const void *o, int argc, char **argv,
	       struct rsm_error *err)
{
	const struct spec_opts *so = o;
	const char *bundle = so->bundle ? so->bundle : ".", *text = oci_default_spec();
	char rootless[OCI_ROOTLESS_SPEC_MAX];
	_cleanup_close_ int dir = -1, fd = -1;
	int ret;

	if (so->rootless) {
		rsm_assert(oci_rootless_spec(rootless, sizeof(rootless), geteuid(), getegid()) ==
			   0);
		text = rootless;
	}
	dir = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return rsm_fail_errno(err, errno, "bundle '%s'", bundle);
	fd = openat(dir, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 && errno == EEXIST)
		return rsm_fail(err, EEXIST, "File config.json exists. Remove it first");
	if (fd < 0)
		return rsm_fail_errno(err, errno, "create '%s/config.json'", bundle);
	ret = rsm_write_full(fd, text, strlen(text));
	if (ret < 0) {
		(void)unlinkat(dir, "config.json", 0);
		return rsm_fail_errno(err, ret, "write '%s/config.json'", bundle);
	}
	return 0;
}

const struct cmd_verb cmd_spec = {
	.name = "spec",
	.summary = "create a new specification file",
	.usage = "[command options]",
	.description =
		"Write a config.json to start from: it runs \"sh\" on a terminal in the root file\n"
		"   system \"rootfs\" of the bundle.",
	.opts = opts,
	.nopts = RSM_ARRAY_SIZE(opts),
	.opts_size = sizeof(struct spec_opts),
	.max_args = 0,
	.run = run,
};
