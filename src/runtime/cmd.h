/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of the runsm command: one file cmd_VERB.c each, one row each in main.c's table.
 *
 * A verb gets its options already parsed into a struct of its own, by a table of options. It
 * returns an exit status, or -errno with an error that main() logs and turns into an exit status.
 */
#ifndef RSM_RUNTIME_CMD_H
#define RSM_RUNTIME_CMD_H

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the program knows of runtime-spec: config.json may be of any 1.x. */
#define RSM_SPEC_VERSION "1.2.0"

/**
 * struct cmd_env - Global options
 * @root:	directory of the containers' state directories; absolute
 * @log_fd:	where --log goes; stderr without it
 */
struct cmd_env {
	const char *root;
	const char *log_path;
	int log_fd;
	enum rsm_log_format log_format;
	bool debug;
	bool systemd_cgroup;
};

enum cmd_opt_kind {
	CMD_FLAG,     /* bool */
	CMD_STRING,   /* const char * */
	CMD_UINT,     /* unsigned */
	CMD_LIST,     /* struct cmd_list: may be given many times */
	CMD_DURATION, /* struct cmd_duration: "1m30s" and the like, as Go writes it */
};

struct cmd_list {
	const char **v; /* NULL-terminated when n > 0 */
	size_t n;
};

struct cmd_duration {
	bool given;
	int64_t ns;
};

/**
 * struct cmd_opt - One option
 * @name:	without dashes; accepted with one or two, as "--name value" or "--name=value"
 * @alias:	one letter, or 0
 * @offset:	of the value in the verb's option struct
 */
struct cmd_opt {
	const char *name;
	char alias;
	enum cmd_opt_kind kind;
	size_t offset;
	const char *help;
};

/**
 * struct cmd_verb - One verb
 * @min_args, @max_args: arguments that are not options; -1: any number
 * @stop_at_arg: options end at the first argument (what follows belongs to another program)
 * @hidden:	known by name only: it fails, and neither help nor features mention it
 * @error_status: exit status of a failure that has none of its own; 0 means 1
 * @run:	@opts points to a zeroed struct of @opts_size that the options were put in;
 *		@argv holds the @argc arguments
 */
struct cmd_verb {
	const char *name;
	const char *summary;
	const char *usage;
	const char *description;
	const struct cmd_opt *opts;
	size_t nopts;
	size_t opts_size;
	int min_args, max_args;
	bool stop_at_arg;
	bool hidden;
	int error_status;
	const char *error_prefix;
	int (*run)(const struct cmd_env *env, const void *opts, int argc, char **argv,
		   struct rsm_error *err);
};

#define CMD_OPTS_MAX_SIZE 256

extern const struct cmd_verb cmd_check, cmd_create, cmd_delete, cmd_events, cmd_exec, cmd_features,
	cmd_guest, cmd_kill, cmd_list, cmd_pause, cmd_ps, cmd_resume, cmd_run, cmd_spec, cmd_start,
	cmd_state, cmd_update;

/* All verbs, ended by NULL (main.c); features lists from it. */
extern const struct cmd_verb *const cmd_verbs[];

/**
 * cmd_parse() - Take options out of a command line
 * @opts:	table of @nopts
 * @stop_at_arg: stop at the first argument that is not an option
 * @argc, @argv: in: the line behind the program's or verb's name; out: the arguments, in order
 * @into:	struct that the table's offsets refer to
 * @help:	set when -h or --help was there
 *
 * "--" ends the options. Values stay the caller's argv; cmd_free_opts() frees the lists' arrays.
 *
 * Return: 0 or -EINVAL with runc's words in @err
 */
int cmd_parse(const struct cmd_opt *opts, size_t nopts, bool stop_at_arg, int *argc, char **argv,
	      void *into, bool *help, struct rsm_error *err);

/**
 * cmd_duration_parse() - A duration as Go's time.ParseDuration() takes it
 * @s:		"5s", "1.5h30m", "-100ms", "0"; units are h, m, s, ms, us, ns
 *
 * Return: 0 and nanoseconds, or -EINVAL
 */
int cmd_duration_parse(const char *s, int64_t *ret);

/* Free what cmd_parse() allocated in @into. */
void cmd_free_opts(const struct cmd_opt *opts, size_t nopts, void *into);

/* Print the options as a help text shows them. */
void cmd_print_opts(const struct cmd_opt *opts, size_t nopts);

#endif
