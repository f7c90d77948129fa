// SPDX-License-Identifier: Apache-2.0
/*
 * runsm: the command. Global options, the table of verbs, and the one place where an error becomes
 * a log record and an exit status.
 */
#include "config.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"
#include "base/proc.h"
#include "runtime/cmd.h"

#include <fcntl.h>
#include <limits.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* runc's verbs that are not there yet: known by name, so that callers learn why they fail. */
static int not_supported(const struct cmd_env *env, const void *opts, int argc, char **argv,
			 struct rsm_error *err)
{
	return rsm_fail(err, EOPNOTSUPP, "this command is not supported yet");
}

#define CMD_NOT_SUPPORTED(verb)                                                                    \
	static const struct cmd_verb cmd_##verb = {                                                \
		.name = #verb,                                                                     \
		.max_args = -1,                                                                    \
		.stop_at_arg = true,                                                               \
		.hidden = true,                                                                    \
		.error_prefix = #verb,                                                             \
		.run = not_supported,                                                              \
	}

CMD_NOT_SUPPORTED(checkpoint);
CMD_NOT_SUPPORTED(restore);

const struct cmd_verb *const cmd_verbs[] = {
	&cmd_check,    &cmd_create, &cmd_delete,     &cmd_events,  &cmd_exec,
	&cmd_features, &cmd_guest,  &cmd_kill,       &cmd_list,    &cmd_pause,
	&cmd_ps,       &cmd_resume, &cmd_run,        &cmd_spec,    &cmd_start,
	&cmd_state,    &cmd_update, &cmd_checkpoint, &cmd_restore, NULL,
};

#define LOG_FD_MIN 32

struct global_opts {
	bool debug, systemd_cgroup, version;
	const char *log, *log_format, *root, *rootless, *criu;
};

#define OPT(member) offsetof(struct global_opts, member)
static const struct cmd_opt global_opts[] = {
	{"debug", 0, CMD_FLAG, OPT(debug), "enable debug logging"},
	{"log", 0, CMD_STRING, OPT(log), "append the log to this file (default: standard error)"},
	{"log-format", 0, CMD_STRING, OPT(log_format), "'text' (default) or 'json'"},
	{"root", 0, CMD_STRING, OPT(root),
	 "directory for the state of containers (default: \"/run/runsm\")"},
	{"systemd-cgroup", 0, CMD_FLAG, OPT(systemd_cgroup),
	 "have systemd make the cgroup; linux.cgroupsPath is \"slice:prefix:name\""},
	{"rootless", 0, CMD_STRING, OPT(rootless), "accepted for runc's callers; without effect"},
	{"criu", 0, CMD_STRING, OPT(criu), "accepted for runc's callers; without effect"},
	{"version", 'v', CMD_FLAG, OPT(version), "print the version"},
};
#undef OPT

static void print_version(void)
{
	const struct scmp_version *v = seccomp_version();

	printf("runsm version %s\ncommit: %s\nspec: %s\n", PACKAGE_VERSION, RUNSM_COMMIT,
	       RSM_SPEC_VERSION);
	if (v)
		printf("libseccomp: %u.%u.%u\n", v->major, v->minor, v->micro);
}

static void print_help(void)
{
	printf("NAME:\n   runsm - run each container in its own microVM\n\n"
	       "USAGE:\n   runsm [global options] command [command options] [arguments...]\n\n"
	       "VERSION:\n   %s\n\nCOMMANDS:\n",
	       PACKAGE_VERSION);
	for (size_t i = 0; cmd_verbs[i]; i++)
		if (!cmd_verbs[i]->hidden)
			printf("   %-10s %s\n", cmd_verbs[i]->name, cmd_verbs[i]->summary);
	printf("\nGLOBAL OPTIONS:\n");
	cmd_print_opts(global_opts, RSM_ARRAY_SIZE(global_opts));
}

static void print_verb_help(const struct cmd_verb *verb)
{
	printf("NAME:\n   runsm %s - %s\n\nUSAGE:\n   runsm %s %s\n", verb->name, verb->summary,
	       verb->name, verb->usage);
	if (verb->description)
		printf("\nDESCRIPTION:\n   %s\n", verb->description);
	if (verb->nopts > 0) {
		printf("\nOPTIONS:\n");
		cmd_print_opts(verb->opts, verb->nopts);
	}
}

static const struct cmd_verb *find_verb(const char *name)
{
	for (size_t i = 0; cmd_verbs[i]; i++)
		if (strcmp(cmd_verbs[i]->name, name) == 0)
			return cmd_verbs[i];
	return NULL;
}

/* @ret: absolute, so that it means the same after a chdir(). */
static int state_root(const char *given, char *ret, size_t size, struct rsm_error *err)
{
	const char *runtime_dir = getenv("XDG_RUNTIME_DIR");
	char cwd[PATH_MAX];
	int r;

	if (!given && rsm_rootless() && runtime_dir && runtime_dir[0] == '/')
		r = rsm_format(ret, size, "%s/runsm", runtime_dir);
	else if (!given || given[0] == '/')
		r = rsm_format(ret, size, "%s", given ? given : "/run/runsm");
	else if (given[0] == '\0')
		return rsm_fail(err, EINVAL, "--root must not be empty");
	else if (!getcwd(cwd, sizeof(cwd)))
		return rsm_fail_errno(err, errno, "get the working directory");
	else
		r = rsm_format(ret, size, "%s/%s", cwd, given);
	return r < 0 ? rsm_fail_errno(err, r, "--root") : 0;
}

/* Nothing is logged to the wrong place: until this succeeds errors go to stderr. */
static int set_up_log(struct cmd_env *env, const struct global_opts *g, struct rsm_error *err)
{
	if (!g->log_format || strcmp(g->log_format, "text") == 0)
		env->log_format = RSM_LOG_TEXT;
	else if (strcmp(g->log_format, "json") == 0)
		env->log_format = RSM_LOG_JSON;
	else
		return rsm_fail(err, EINVAL, "invalid log-format: %s", g->log_format);
	env->log_fd = STDERR_FILENO;
	env->log_path = g->log;
	if (g->log && g->log[0]) {
		env->log_fd =
			open(g->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
		if (env->log_fd >= 0) { /* out of the way of --preserve-fds */
			int fd = fcntl(env->log_fd, F_DUPFD_CLOEXEC, LOG_FD_MIN);

			close(env->log_fd);
			env->log_fd = fd;
		}
		if (env->log_fd < 0)
			return rsm_fail_errno(err, errno, "open the log '%s'", g->log);
	}
	rsm_log_to(env->log_fd, env->log_format, true);
	env->debug = g->debug;
	if (g->debug)
		rsm_log_set_level(RSM_LOG_DEBUG);
	return 0;
}

static int check_arg_count(const struct cmd_verb *verb, int argc, struct rsm_error *err)
{
	if (verb->max_args == verb->min_args && argc != verb->min_args)
		return rsm_fail(err, EINVAL, "\"%s\" requires exactly %d argument(s)", verb->name,
				verb->min_args);
	if (argc < verb->min_args)
		return rsm_fail(err, EINVAL, "\"%s\" requires a minimum of %d argument(s)",
				verb->name, verb->min_args);
	if (verb->max_args >= 0 && argc > verb->max_args)
		return rsm_fail(err, EINVAL, "\"%s\" requires a maximum of %d argument(s)",
				verb->name, verb->max_args);
	return 0;
}

/* Return: exit status */
static int finish(int ret, const struct rsm_error *err, int status)
{
	if (ret >= 0)
		return ret;
	rsm_log_error("%s", err->message);
	if (err->exit_status)
		return err->exit_status;
	return status ? status : 1;
}

static int run_verb(const struct cmd_verb *verb, const struct cmd_env *env, int argc, char **argv,
		    void *opts)
{
	struct rsm_error err = RSM_ERROR_INIT;
	bool help = false;
	int ret;

	ret = verb->hidden ? 0
			   : cmd_parse(verb->opts, verb->nopts, verb->stop_at_arg, &argc, argv,
				       opts, &help, &err);
	if (ret == 0 && help) {
		print_verb_help(verb);
		return 0;
	}
	if (ret == 0)
		ret = check_arg_count(verb, argc, &err);
	if (ret < 0) {
		printf("Incorrect Usage: %s\n\n", err.message);
		print_verb_help(verb);
		(void)fflush(stdout);
		return finish(ret, &err, 1);
	}
	rsm_log_debug("runsm %s %s", PACKAGE_VERSION, verb->name);
	ret = verb->run(env, opts, argc, argv, &err);
	rsm_log_debug("%s: %s", verb->name, ret < 0 ? "failed" : "done");
	if (ret < 0 && verb->error_prefix)
		(void)rsm_error_prefix(&err, "%s", verb->error_prefix);
	return finish(ret, &err, verb->error_status);
}

static int flush_output(int status)
{
	if (fflush(stdout) == EOF && status == 0) {
		rsm_log_error("write to standard output: %s", strerror(errno));
		return 1;
	}
	return status;
}

/* Descriptors 0, 1 and 2 must be taken: files opened later must never become somebody's stdio. */
static int reserve_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_NOCTTY);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	return fd < 0 ? -errno : close(fd);
}

int main(int argc, char **argv)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct global_opts g = {0};
	const struct cmd_verb *verb;
	struct cmd_env env = {0};
	char root[PATH_MAX];
	_Alignas(max_align_t) char opts[CMD_OPTS_MAX_SIZE] = { 0 };
	bool help;
	int ret;

	if (reserve_stdio() < 0)
		return 1;
	(void)signal(SIGPIPE, SIG_IGN);
	argc--;
	argv++;
	ret = cmd_parse(global_opts, RSM_ARRAY_SIZE(global_opts), true, &argc, argv, &g, &help,
			&err);
	if (ret < 0) {
		printf("Incorrect Usage. %s\n\n", err.message);
		print_help();
		(void)fflush(stdout);
		return finish(ret, &err, 1);
	}
	if (g.version) {
		print_version();
		return flush_output(0);
	}
	if (help || argc == 0 || strcmp(argv[0], "help") == 0 || strcmp(argv[0], "h") == 0) {
		verb = argc > 1 ? find_verb(argv[1]) : NULL;
		if (verb && !verb->hidden)
			print_verb_help(verb);
		else
			print_help();
		return flush_output(0);
	}
	ret = set_up_log(&env, &g, &err);
	if (ret == 0)
		ret = state_root(g.root, root, sizeof(root), &err);
	if (ret < 0)
		return finish(ret, &err, 1);
	env.root = root;
	env.systemd_cgroup = g.systemd_cgroup;
	verb = find_verb(argv[0]);
	if (!verb) {
		rsm_log_error("No help topic for '%s'", argv[0]);
		return 3; /* as runc */
	}
	rsm_assert(verb->opts_size <= sizeof(opts));
	ret = run_verb(verb, &env, argc - 1, argv + 1, opts);
	cmd_free_opts(verb->opts, verb->nopts, opts);
	return flush_output(ret);
}
