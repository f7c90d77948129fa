// SPDX-License-Identifier: Apache-2.0
/*
 * Becoming the process: limits, user, rights, directory, program.
 *
 * The order is runc's, because what works under it must work here: without no_new_privs the seccomp
 * filter needs CAP_SYS_ADMIN and goes in before the user changes, with it as late as possible; the
 * directory is entered before the user changes, or else after.
 */
#include "agent/setup.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/math.h"

#include <ctype.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define PASSWD_MAX    (1U << 20)
#define DEFAULT_UMASK 0022
#define NOFILE_SOFT   1024 /* systemd's default */

/* ---------------------------------------------------------------- limits */

int setup_oom_score_adj(pid_t pid, const Runsm__Process *process, struct rsm_error *err)
{
	char text[16], path[64] = "/proc/self/oom_score_adj";
	_cleanup_close_ int fd = -1;
	int ret;

	if (!process->has_oom_score_adj)
		return 0;
	(void)rsm_format(text, sizeof(text), "%d", process->oom_score_adj);
	if (pid)
		(void)rsm_format(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ret = fd < 0 ? -errno : rsm_write_full(fd, text, strlen(text));
	return ret < 0 ? rsm_fail_errno(err, ret, "set oomScoreAdj to %s", text) : 0;
}

static int set_rlimits(const Runsm__Process *process, struct rsm_error *err)
{
	struct rlimit nofile;

	/* The agent's own limit is high; programs that close every possible fd would take for ever.
	 */
	if (getrlimit(RLIMIT_NOFILE, &nofile) == 0 && nofile.rlim_cur > NOFILE_SOFT) {
		nofile.rlim_cur = NOFILE_SOFT;
		(void)setrlimit(RLIMIT_NOFILE, &nofile);
	}
	for (size_t i = 0; i < process->n_rlimits; i++) {
		const Runsm__Rlimit *r = process->rlimits[i];
		struct rlimit limit = {.rlim_cur = r->soft, .rlim_max = r->hard};

		if (setrlimit((int)r->resource, &limit) < 0)
			return rsm_fail_errno(err, errno, "set rlimit %u to %llu/%llu", r->resource,
					      (unsigned long long)r->soft,
					      (unsigned long long)r->hard);
	}
	return 0;
}

static int own_fd(int fd, uid_t uid, struct rsm_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return rsm_fail_errno(err, errno, "look at fd %d", fd);
	if (st.st_uid == uid || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)))
		return 0;
	if (fchown(fd, uid, st.st_gid) < 0)
		return rsm_fail_errno(err, errno, "give fd %d to uid %u", fd, uid);
	return 0;
}

/* So that the user can open /dev/stdout, /dev/fd/3 and the like anew; /dev/null stays as it is. */
static int own_fds(const struct setup *s, uid_t uid, struct rsm_error *err)
{
	const Runsm__Stdio *io = s->process->stdio;
	int ret = 0;

	for (int fd = 0; ret == 0 && fd < 3; fd++)
		ret = own_fd(fd, uid, err);
	for (size_t i = 0; ret == 0 && io && i < io->n_extra; i++)
		if (io->extra[i]->access != RUNSM__FD_ACCESS__READ_WRITE)
			ret = own_fd((int)io->extra[i]->fd, uid, err);
	return ret;
}

/* ---------------------------------------------------------------- rights */

static int set_seccomp(const Runsm__Process *process, struct rsm_error *err)
{
	struct sock_fprog prog = {
		.len = (unsigned short)(process->seccomp_filter.len / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)process->seccomp_filter.data,
	};

	if (process->seccomp_filter.len == 0)
		return 0;
	if (process->seccomp_filter.len % sizeof(struct sock_filter) != 0 ||
	    process->seccomp_filter.len / sizeof(struct sock_filter) > BPF_MAXINSNS)
		return rsm_fail(err, EINVAL, "the seccomp filter has a bad length: %zu bytes",
				process->seccomp_filter.len);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, process->seccomp_flags, &prog) < 0)
		return rsm_fail_errno(err, errno, "install the seccomp filter");
	return 0;
}

int setup_late_seccomp(const Runsm__Process *process, struct rsm_error *err)
{
	return process->no_new_privileges ? set_seccomp(process, err) : 0;
}

static int drop_bounding(uint64_t keep, struct rsm_error *err)
{
	for (int cap = 0; cap < 64; cap++) {
		if (keep & 1ULL << cap)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap) == 0)
			continue;
		if (errno == EINVAL) /* past the kernel's last capability */
			return 0;
		return rsm_fail_errno(err, errno, "drop capability %d from the bounding set", cap);
	}
	return 0;
}

static int set_capabilities(const Runsm__Capabilities *c, struct rsm_error *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	uint64_t known = 0;

	for (int cap = 0; cap < 64 && prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		known |= 1ULL << cap;
	for (int i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)((c->effective & known) >> (32 * i));
		data[i].permitted = (uint32_t)((c->permitted & known) >> (32 * i));
		data[i].inheritable = (uint32_t)((c->inheritable & known) >> (32 * i));
	}
	if (syscall(SYS_capset, &header, data) < 0)
		return rsm_fail_errno(err, errno, "set the capabilities");
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int cap = 0; cap < 64; cap++) {
		if (!(c->ambient & known & 1ULL << cap))
			continue;
		/* EPERM: not permitted and inheritable at once. runc leaves it out without a word,
		 * and its own default config.json counts on that. */
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0 && errno != EPERM)
			return rsm_fail_errno(err, errno, "raise ambient capability %d", cap);
	}
	return 0;
}

static int set_user(const Runsm__User *user, struct rsm_error *err)
{
	if (setgroups(user->n_additional_gids, user->additional_gids) < 0)
		return rsm_fail_errno(err, errno, "set the additional groups");
	if (setresgid(user->gid, user->gid, user->gid) < 0)
		return rsm_fail_errno(err, errno, "set gid %u", user->gid);
	if (setresuid(user->uid, user->uid, user->uid) < 0)
		return rsm_fail_errno(err, errno, "set uid %u", user->uid);
	return 0;
}

/* strerror() as Go prints it: callers of runc look for these texts. */
static const char *go_error(int code, char *buf, size_t size)
{
	(void)rsm_format(buf, size, "%s", strerror(code));
	buf[0] = (char)tolower((unsigned char)buf[0]);
	return buf;
}

static int enter_directory(const char *cwd, struct rsm_error *err)
{
	char real[PATH_MAX], text[64];
	int code = 0;

	if (chdir(cwd) < 0)
		code = errno;
	/* "(unreachable)/…": a directory outside the root, by way of some magic link */
	else if (syscall(SYS_getcwd, real, sizeof(real)) < 0 || real[0] != '/')
		code = ENOENT;
	if (code)
		return rsm_fail(err, code, "chdir to cwd (\"%s\") set in config.json failed: %s",
				cwd, go_error(code, text, sizeof(text)));
	return 0;
}

int setup_become(const struct setup *s, struct rsm_error *err)
{
	const Runsm__Process *process = s->process;
	const Runsm__Capabilities no_caps = RUNSM__CAPABILITIES__INIT;
	const Runsm__User root = RUNSM__USER__INIT;
	const Runsm__User *user = process->user ? process->user : &root;
	const Runsm__Capabilities *caps = process->has_capabilities && process->capabilities
						  ? process->capabilities
						  : &no_caps;
	const char *cwd = process->cwd[0] ? process->cwd : "/";
	struct rsm_error first = RSM_ERROR_INIT;
	int ret, entered;

	ret = s->userns ? 0 : setup_scheduling(0, process, err);
	if (ret == 0)
		ret = setup_personality(process, err);
	if (ret == 0)
		ret = set_rlimits(process, err);
	if (ret == 0)
		ret = own_fds(s, user->uid, err);
	if (ret == 0 && process->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		ret = rsm_fail_errno(err, errno, "set noNewPrivileges");
	if (ret == 0 && !process->no_new_privileges)
		ret = set_seccomp(process, err);
	if (ret < 0)
		return ret;
	entered = enter_directory(cwd, &first);
	ret = drop_bounding(caps->bounding, err);
	if (ret == 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		ret = rsm_fail_errno(err, errno, "keep the capabilities");
	if (ret == 0)
		ret = set_user(user, err);
	if (ret == 0 && entered < 0)
		ret = enter_directory(cwd, err);
	if (ret == 0 && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		ret = rsm_fail_errno(err, errno, "stop keeping capabilities");
	if (ret == 0)
		ret = set_capabilities(caps, err);
	umask(user->has_umask ? user->umask : DEFAULT_UMASK);
	return ret;
}

/* ---------------------------------------------------------------- environment */

static const char *get_env(char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (; *env; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

/* Field @n of a line of passwd(5), NUL-terminated in place; NULL if there is none. */
static char *field(char *line, int n)
{
	char *end;

	while (n-- > 0) {
		line = strchr(line, ':');
		if (!line)
			return NULL;
		line++;
	}
	end = strchr(line, ':');
	if (end)
		*end = '\0';
	return line;
}

/* Home directory of @uid in the container's /etc/passwd, "/" without one; malloc'ed. */
static char *find_home(uid_t uid)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	char *line, *rest;

	/* A fifo would make us wait for ever. */
	if (stat("/etc/passwd", &st) < 0 || !S_ISREG(st.st_mode) ||
	    rsm_read_file_at(AT_FDCWD, "/etc/passwd", PASSWD_MAX, &text, NULL) < 0)
		return strdup("/");
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *home = field(line, 5), *id = field(line, 2), *end;
		unsigned long value;

		if (!home || !id || !isdigit((unsigned char)id[0]))
			continue;
		value = strtoul(id, &end, 10);
		if (*end == '\0' && value == uid)
			return strdup(home[0] ? home : "/");
	}
	return strdup("/");
}

char **setup_environment(const Runsm__Process *process)
{
	char **env = calloc(process->n_env + 2, sizeof(*env)), *home, *entry;
	size_t n = 0;

	if (!env)
		return NULL;
	for (size_t i = 0; i < process->n_env; i++)
		if (strcmp(process->env[i], "HOME=") != 0)
			env[n++] = process->env[i];
	if (get_env(env, "HOME"))
		return env;
	home = find_home(process->user ? process->user->uid : 0);
	if (!home || asprintf(&entry, "HOME=%s", home) < 0)
		return NULL; /* the caller ends: nothing to free */
	free(home);
	env[n] = entry;
	return env;
}

/* ---------------------------------------------------------------- program */

/* What Go's os/exec looks for: a file somebody may execute, and execute access for us. */
static int check_executable(const char *path, bool *stat_failed)
{
	struct stat st;

	*stat_failed = stat(path, &st) < 0;
	if (*stat_failed)
		return -errno;
	if (S_ISDIR(st.st_mode) || !(st.st_mode & 0111) ||
	    faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		return -EACCES;
	return 0;
}

static char *not_found(const char *name, struct rsm_error *err)
{
	(void)rsm_fail(err, ENOENT, "exec: \"%s\": executable file not found in $PATH", name);
	err->exit_status = 127;
	return NULL;
}

static char *find_by_path(const char *name, struct rsm_error *err)
{
	bool stat_failed;
	int ret = check_executable(name, &stat_failed);
	char text[64];

	if (ret == 0)
		return strdup(name);
	go_error(-ret, text, sizeof(text));
	if (stat_failed)
		(void)rsm_fail(err, -ret, "exec: \"%s\": stat %s: %s", name, name, text);
	else
		(void)rsm_fail(err, -ret, "exec: \"%s\": %s", name, text);
	err->exit_status = ret == -EACCES ? 126 : 127;
	return NULL;
}

char *setup_find_program(const Runsm__Process *process, struct rsm_error *err)
{
	const char *name = process->args[0], *search = NULL;
	bool stat_failed;

	if (strchr(name, '/'))
		return find_by_path(name, err);
	for (size_t i = 0; i < process->n_env; i++)
		if (strncmp(process->env[i], "PATH=", 5) == 0)
			search = process->env[i] + 5;
	for (const char *at = name[0] ? search : NULL, *end; at && *search; at = end) {
		char path[PATH_MAX];

		end = strchrnul(at, ':');
		if (rsm_format(path, sizeof(path), "%.*s%s%s", (int)(end - at), at,
			       end == at ? "./" : "/", name) == 0 &&
		    check_executable(path, &stat_failed) == 0)
			return strdup(path);
		end = *end ? end + 1 : NULL;
	}
	return not_found(name, err);
}
