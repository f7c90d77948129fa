// SPDX-License-Identifier: Apache-2.0
/* The table of `runsm ps`: what options of ps(1) are understood, and what is printed. */
#include "cmocka_all.h"

#include "base/math.h"
#include "runtime/ps_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOON 1800014400 /* 2027-01-15 12:00:00 UTC */

/* Print @n processes with the options in @line; static buffer. */
static const char *table_of(const char *line, Runsm__ProcessInfo *p, size_t n)
{
	Runsm__ProcessesResponse list = RUNSM__PROCESSES_RESPONSE__INIT;
	static char out[4096];
	Runsm__ProcessInfo *processes[4];
	struct rsm_error err = RSM_ERROR_INIT;
	struct ps_format format;
	char words[256], *argv[8], *rest;
	int argc = 0;
	FILE *to;

	(void)snprintf(words, sizeof(words), "%s", line);
	for (char *w = strtok_r(words, "|", &rest); w; w = strtok_r(NULL, "|", &rest))
		argv[argc++] = w;
	if (ps_format_parse(argc, argv, &format, &err) < 0)
		fail_msg("%s: %s", line, err.message);
	for (size_t i = 0; i < n; i++)
		processes[i] = &p[i];
	list.processes = processes;
	list.n_processes = n;
	list.uptime = 100000;
	list.time = NOON;
	list.memory_bytes = 1ULL << 30;
	memset(out, 0, sizeof(out));
	to = fmemopen(out, sizeof(out) - 1, "w");
	assert_non_null(to);
	ps_print(to, &format, &list);
	(void)fclose(to);
	return out;
}

static Runsm__ProcessInfo sample(void)
{
	Runsm__ProcessInfo p = RUNSM__PROCESS_INFO__INIT;

	p.pid = p.session = 80;
	p.pgid = 80;
	p.ppid = 1;
	p.tpgid = 80;
	p.tty = 136 << 8 | 3;
	p.state = (char *)"S";
	p.comm = (char *)"sh";
	p.cmdline = (char *)"sh -c x";
	p.cpu_ticks = 366100;
	p.start_ticks = (100000 - 3723) * 100ULL;
	p.threads = 2;
	p.nice = -5;
	p.vsz_bytes = 10 << 20;
	p.rss_bytes = 512 << 20;
	return p;
}

static void each_set_of_options_has_the_columns_of_procps(void **state)
{
	static const struct {
		const char *options, *header, *line;
	} rows[] = {
		{"", "UID        PID  PPID  C STIME TTY          TIME CMD",
		 "root        80     1 98 10:57 pts/3    01:01:01 sh -c x"},
		{"-ef", "UID        PID  PPID  C STIME TTY          TIME CMD",
		 "root        80     1 98 10:57 pts/3    01:01:01 sh -c x"},
		{"-e|-x", "  PID TTY      STAT   TIME COMMAND",
		 "   80 pts/3    S<sl+  61:01 sh -c x"},
		{"ax", "  PID TTY      STAT   TIME COMMAND", "   80 pts/3    S<sl+  61:01 sh -c x"},
		{"aux", "USER       PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND",
		 "root        80 98.3 50.0  10240 524288 pts/3    S<sl+ 10:57  61:01 sh -c x"},
		{"-A", "  PID TTY          TIME CMD", "   80 pts/3    01:01:01 sh"},
		{"-eo|pid,user uid,nice,etime,start",
		 "  PID USER       UID  NI     ELAPSED  STARTED",
		 "   80 root         0  -5    01:02:03 10:57:57"},
		{"-o|args,s|-o|nlwp,pgid,sess", "COMMAND                     S NLWP  PGID  SESS",
		 "sh -c x                     S    2    80    80"},
		{"--format=pid=|-o|ppid=PARENT", "      PARENT", "   80      1"},
		{"axo|comm,cmd", "COMMAND         CMD", "sh              sh -c x"},
	};
	Runsm__ProcessInfo p = sample();
	char want[512];

	for (size_t i = 0; i < RSM_ARRAY_SIZE(rows); i++) {
		(void)snprintf(want, sizeof(want), "%s\n%s\n", rows[i].header, rows[i].line);
		assert_string_equal(table_of(rows[i].options, &p, 1), want);
	}
	assert_string_equal(table_of("-o|pid=|-o|comm=", &p, 1), "   80 sh\n");
}

static void other_options_and_columns_are_refused_by_name(void **state)
{
	static const struct {
		const char *option, *message;
	} rows[] = {
		{"-l", "option '-l'"},
		{"-u", "option '-u'"},
		{"f", "option 'f'"},
		{"--forest", "option '--forest'"},
		{"-efZ", "option '-Z'"},
		{"-", "option '-'"},
		{"-oselinux", "column 'selinux'"},
		{"-opid,", NULL},
		{"-o,", "empty"},
		{"-o", "needs a list"},
		{"17", "option '1'"},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(rows); i++) {
		struct rsm_error err = RSM_ERROR_INIT;
		char *argv[] = {(char *)rows[i].option};
		struct ps_format format;
		int ret = ps_format_parse(1, argv, &format, &err);

		assert_int_equal(ret, rows[i].message ? -EINVAL : 0);
		if (rows[i].message && !strstr(err.message, rows[i].message))
			fail_msg("%s: %s", rows[i].option, err.message);
	}
}

static void processes_come_by_pid_and_zombies_are_marked(void **state)
{
	Runsm__ProcessInfo p[2] = {sample(), sample()};

	p[1].pid = 7;
	p[1].state = (char *)"Z";
	p[1].cmdline = (char *)"";
	assert_string_equal(table_of("-opid=|-oargs=", p, 2),
			    "    7 [sh] <defunct>\n   80 sh -c x\n");
}

static void nothing_a_guest_says_reaches_a_terminal_or_overflows(void **state)
{
	static char lots[3000];
	Runsm__ProcessInfo p = sample();
	const char *out;

	memset(lots, '\033', sizeof(lots) - 1);
	p.pid = p.ppid = p.pgid = p.session = p.threads = p.uid = p.euid = UINT32_MAX;
	p.tpgid = p.nice = INT32_MIN;
	p.tty = UINT32_MAX;
	p.vsz_bytes = p.rss_bytes = p.cpu_ticks = p.start_ticks = UINT64_MAX;
	p.comm = p.state = lots;
	p.cmdline = (char *)"a\xc2\x9b\x7f\n";
	out = table_of("aux", &p, 1);
	assert_null(strchr(out, '\033'));
	assert_non_null(strstr(out, "a????\n"));
	out = table_of("-ocomm,state,stat,tty,user,c,lstart,stime,etime,time,pid,args", &p, 1);
	for (; *out; out++)
		assert_true(*out == '\n' || (*out >= 0x20 && *out < 0x7f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_set_of_options_has_the_columns_of_procps),
		cmocka_unit_test(other_options_and_columns_are_refused_by_name),
		cmocka_unit_test(processes_come_by_pid_and_zombies_are_marked),
		cmocka_unit_test(nothing_a_guest_says_reaches_a_terminal_or_overflows),
	};

	(void)setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
