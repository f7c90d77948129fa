// SPDX-License-Identifier: Apache-2.0
/* runsm guest build, runsm guest info: the image that microVMs boot (image/guest.h). */
#include "image/guest.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"
#include "runtime/cmd.h"
#include "runtime/settings.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define AGENT "runsm-agent"

/* ---------------------------------------------------------------- runsm guest build */

struct build_opts {
	const char *output, *kernel, *modules, *deb;
	bool initrd_only, force;
};

#define OPT(field) offsetof(struct build_opts, field)
static const struct cmd_opt build_opts[] = {
	{"output", 'o', CMD_STRING, OPT(output),
	 "image directory (default: $RUNSM_GUEST_DIR, else /var/lib/runsm/guest)"},
	{"kernel", 'k', CMD_STRING, OPT(kernel),
	 "any x86_64 Linux kernel instead of Debian's: a bzImage, or an ELF file with a PVH note"},
	{"modules", 'm', CMD_STRING, OPT(modules),
	 "directory with the modules of --kernel, if it needs any"},
	{"deb", 'd', CMD_STRING, OPT(deb), "kernel package to use instead of downloading Debian's"},
	{"initrd-only", 0, CMD_FLAG, OPT(initrd_only),
	 "keep the image's kernel and modules, renew the agent"},
	{"force", 'f', CMD_FLAG, OPT(force), "build even if an intact image is there"},
};
#undef OPT

/* On a terminal one line tells what is going on, and is wiped at the end. */
static void show_progress(void *cookie, const char *what)
{
	const bool *terminal = cookie;

	if (*terminal) {
		printf("\r\033[K%s …", what);
		(void)fflush(stdout);
	}
}

static int check_build_opts(const struct build_opts *o, struct rsm_error *err)
{
	if (o->kernel && o->deb)
		return rsm_fail(err, EINVAL, "--kernel and --deb exclude each other");
	if (o->initrd_only && (o->kernel || o->deb))
		return rsm_fail(err, EINVAL, "--initrd-only keeps the kernel: it excludes %s",
				o->kernel ? "--kernel" : "--deb");
	if (o->modules && !o->kernel)
		return rsm_fail(err, EINVAL, "--modules needs --kernel");
	return 0;
}

static int guest_build(const void *opts, const char *guest_dir, struct rsm_error *err)
{
	const struct build_opts *o = opts;
	bool terminal = isatty(STDOUT_FILENO);
	struct img_guest_build how = {
		.dir = o->output ? o->output : guest_dir,
		.kernel = o->kernel,
		.modules = o->modules,
		.deb = o->deb,
		.initrd_only = o->initrd_only,
		.force = o->force,
		.progress = show_progress,
		.cookie = &terminal,
	};
	_cleanup_guest_ struct img_guest guest = {0};
	char agent[PATH_MAX];
	int r = check_build_opts(o, err);

	if (r == 0)
		r = find_helper(AGENT, agent, err);
	if (r < 0)
		return r;
	how.agent = agent;
	r = img_guest_build(&how, &guest, err);
	if (terminal)
		printf("\r\033[K");
	if (r >= 0 && terminal)
		printf("%s: kernel %s, %s\n", how.dir, guest.kernel_version,
		       r > 0 ? "built" : "up to date");
	return r < 0 ? r : 0;
}

/* ---------------------------------------------------------------- runsm guest info */

struct info_opts {
	const char *output, *format;
};

#define OPT(field) offsetof(struct info_opts, field)
static const struct cmd_opt info_opts[] = {
	{"output", 'o', CMD_STRING, OPT(output),
	 "image directory (default: $RUNSM_GUEST_DIR, else /var/lib/runsm/guest)"},
	{"format", 'f', CMD_STRING, OPT(format), "text or json (default: \"text\")"},
};
#undef OPT

static int print_json(const char *dir, const struct img_guest *g, struct rsm_error *err)
{
	_cleanup_jsongen_ struct rsm_jsongen *gen = NULL;
	const char *text = NULL;
	size_t len;
	int r = rsm_jsongen_new(true, &gen);

	if (r == 0) {
		rsm_jsongen_object(gen);
		rsm_jsongen_kstring(gen, "directory", dir);
		img_guest_json(gen, g);
		rsm_jsongen_end_object(gen);
		r = rsm_jsongen_finish(gen, &text, &len);
	}
	if (r < 0)
		return rsm_fail_errno(err, r, "print guest image");
	fputs(text, stdout);
	if (len > 0 && text[len - 1] != '\n')
		putchar('\n');
	return 0;
}

static void print_file(const char *label, const struct img_file *f)
{
	printf("%-10s %10llu bytes  sha256 %s\n", label, (unsigned long long)f->bytes, f->sha256);
}

static void print_text(const char *dir, const struct img_guest *g)
{
	printf("%-10s %s\n", "image", dir);
	printf("%-10s %s, %s\n", "version", g->kernel_version,
	       g->pvh ? "ELF with PVH entry" : "bzImage");
	if (g->package[0])
		printf("%-10s %s %s\n", "package", g->package, g->package_version);
	printf("%-10s %s\n", "source", g->source);
	printf("%-10s", "modules");
	for (size_t i = 0; i < g->n_modules; i++)
		printf(" %s", g->modules[i]);
	printf("%s\n", g->n_modules ? "" : " none");
	print_file("kernel", &g->kernel);
	print_file("initrd", &g->initrd);
	print_file("agent", &g->agent);
	printf("%-10s %s by runsm %s\n", "built", g->build_time, g->runsm_version);
	printf("%-10s checksums match\n", "state");
}

static int guest_info(const void *opts, const char *guest_dir, struct rsm_error *err)
{
	const struct info_opts *o = opts;
	const char *dir = o->output ? o->output : guest_dir;
	_cleanup_guest_ struct img_guest guest = {0};
	bool json = o->format && strcmp(o->format, "json") == 0;
	int r;

	if (o->format && !json && strcmp(o->format, "text") != 0)
		return rsm_fail(err, EINVAL, "invalid format '%s': text or json", o->format);
	r = img_guest_load(dir, &guest, err);
	if (r == 0)
		r = img_guest_verify(dir, &guest, err);
	if (r < 0)
		return r;
	if (json)
		return print_json(dir, &guest, err);
	print_text(dir, &guest);
	return 0;
}

/* ---------------------------------------------------------------- runsm guest */

static const struct part {
	const char *name, *summary;
	const struct cmd_opt *opts;
	size_t nopts;
	int (*run)(const void *opts, const char *guest_dir, struct rsm_error *err);
} parts[] = {
	{"build", "build the guest image", build_opts, RSM_ARRAY_SIZE(build_opts), guest_build},
	{"info", "show the guest image and check it", info_opts, RSM_ARRAY_SIZE(info_opts),
	 guest_info},
};

static int run(const struct cmd_env *env, const void *unused, int argc, char **argv,
	       struct rsm_error *err)
{
	union {
		struct build_opts build;
		struct info_opts info;
	} opts = {0};
	const struct part *part = NULL;
	struct settings settings;
	bool help = false;
	int r;

	for (size_t i = 0; i < RSM_ARRAY_SIZE(parts); i++)
		if (strcmp(argv[0], parts[i].name) == 0)
			part = &parts[i];
	if (!part)
		return rsm_fail(err, EINVAL, "no such command: guest %s (build or info)", argv[0]);
	argc--;
	argv++;
	r = cmd_parse(part->opts, part->nopts, false, &argc, argv, &opts, &help, err);
	if (r < 0)
		return r;
	if (help) {
		printf("NAME:\n   runsm guest %s - %s\n\nUSAGE:\n   runsm guest %s [options]\n\n"
		       "OPTIONS:\n",
		       part->name, part->summary, part->name);
		cmd_print_opts(part->opts, part->nopts);
		return 0;
	}
	if (argc > 0)
		return rsm_fail(err, EINVAL, "\"guest %s\" takes no arguments", part->name);
	r = settings_load(SETTINGS_FILE, &settings, err);
	return r < 0 ? r : part->run(&opts, settings.guest_dir, err);
}

const struct cmd_verb cmd_guest = {
	.name = "guest",
	.summary = "build and show the guest image",
	.usage = "build [options] | info [options]",
	.description =
		"The guest image is what a microVM boots: a kernel, by default Debian's cloud "
		"kernel, and\n   an initramfs with runsm's agent. 'runsm guest build --help' "
		"tells the options.",
	.min_args = 1,
	.max_args = -1,
	.stop_at_arg = true,
	.error_prefix = "guest",
	.run = run,
};
