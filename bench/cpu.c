// SPDX-License-Identifier: Apache-2.0
/*
 * cpu RUNTIME ROOT BUNDLE: CPU time on the host, in ms, of one container's life and of one exec.
 *
 * Prints "CREATE START DELETE INIT EXEC": the three commands with what they waited for, the
 * process that stands for the container (runsm-vmm; with runc: up to "created", while it is still
 * runc), and an exec of "true" with what it costs runsm-vmm. QEMU and vCPU threads, which are the
 * guest, are left out.
 *
 * All descendants that are orphaned become our children, so that their whole time is known when
 * they are reaped; what a living process used so far is read from its CPU clock.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *runtime, *root;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double ms_of(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1e3 +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e3;
}

/* Run the runtime with @args, NULL-terminated. Return: ms of it and of what it waited for */
static double run(const char *const *args)
{
	const char *argv[16] = {runtime, "--root", root};
	struct rusage usage;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		for (int i = 0; args[i]; i++)
			argv[3 + i] = args[i];
		(void)dup2(null, 0);
		(void)dup2(null, 1);
		close(null);
		(void)execvp(runtime, (char *const *)argv);
		_exit(127);
	}
	if (wait4(pid, &status, 0, &usage) != pid)
		die("wait4");
	if (status != 0) {
		(void)fprintf(stderr, "%s %s: wait status %d\n", runtime, args[0], status);
		exit(1);
	}
	return ms_of(&usage);
}

/* ms of the process so far, all its threads */
static double clock_of(pid_t pid)
{
	struct timespec t;
	clockid_t id;

	if (clock_getcpuclockid(pid, &id) != 0 || clock_gettime(id, &t) < 0)
		die("CPU clock of the container's process");
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void read_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");

	line[0] = '\0';
	if (f && fgets(line, (int)size, f))
		line[strcspn(line, "\n")] = '\0';
	if (f)
		(void)fclose(f);
}

/* ms of those of its threads that run the guest */
static double vcpus_of(pid_t pid)
{
	char path[300], line[128];
	struct dirent *e;
	double ms = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir)) != NULL) {
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", pid, e->d_name);
		read_line(path, line, sizeof(line));
		if (!strstr(line, "vcpu"))
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, e->d_name);
		read_line(path, line, sizeof(line));
		ms += strtod(line, NULL) / 1e6;
	}
	if (dir)
		(void)closedir(dir);
	return ms;
}

static double own_clock(pid_t pid)
{
	double vcpus = vcpus_of(pid);

	return clock_of(pid) - vcpus;
}

/* Reap everything. Return: ms of @init */
static double reap_all(pid_t init)
{
	struct rusage usage;
	double ms = 0;
	pid_t pid;

	while ((pid = wait4(-1, NULL, 0, &usage)) > 0)
		if (pid == init)
			ms = ms_of(&usage);
	return ms;
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

int main(int argc, char **argv)
{
	char id[32], pid_file[64], line[32];
	double create, start, del, exec, begin, before, after, vcpus, init;
	bool is_runsm;
	pid_t pid;

	if (argc != 4) {
		(void)fprintf(stderr, "usage: cpu RUNTIME ROOT BUNDLE\n");
		return 1;
	}
	runtime = argv[1];
	root = argv[2];
	is_runsm = strstr(runtime, "runsm") != NULL;
	(void)snprintf(id, sizeof(id), "cpu-%d", getpid());
	(void)snprintf(pid_file, sizeof(pid_file), "/tmp/%s.pid", id);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	create = RUN("create", "--bundle", argv[3], "--pid-file", pid_file, id);
	read_line(pid_file, line, sizeof(line));
	(void)unlink(pid_file);
	pid = atoi(line);
	init = clock_of(pid);
	start = RUN("start", id);
	begin = own_clock(pid);
	(void)RUN("exec", id, "/bin/true"); /* caches on both sides are warm from here on */
	before = own_clock(pid);
	exec = RUN("exec", id, "/bin/true");
	after = own_clock(pid);
	vcpus = vcpus_of(pid);
	del = RUN("delete", "--force", id);
	if (is_runsm) { /* its whole life, less what the guest and the execs took */
		init = reap_all(pid) - vcpus - (after - begin);
		exec += after - before;
	} else {
		(void)reap_all(pid);
	}
	(void)printf("%.2f %.2f %.2f %.2f %.2f\n", create, start, del, init, exec);
	return 0;
}
