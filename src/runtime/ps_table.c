// SPDX-License-Identifier: Apache-2.0
#include "runtime/ps_table.h"

#include "base/io.h"
#include "base/math.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

/* Of USER_HZ on x86-64; the guest's value, not this process's. */
#define TICKS_PER_SECOND 100
#define DAY              86400
/* No guest has more of it; so that what is multiplied fits. */
#define SANE_MAX         (1ULL << 50)
#define TEXT_MAX         160
/* Columns of at least that width, to the left, are of commands. */
#define COMMAND_MIN      15

/**
 * struct row - One process, and what is calculated for it
 * @elapsed, @cpu: seconds; @start: of the guest's clock, 0 unknown
 */
struct row {
	const Runsm__ProcessInfo *p;
	uint64_t elapsed, cpu, cpu_ticks, memory;
	time_t start, now;
};

/* Each returns what is to be printed: in @buf, of TEXT_MAX bytes, or elsewhere. */
typedef const char *(*text_fn)(const struct row *r, char *buf);

/**
 * struct ps_column - One column
 * @width:	negative: to the left
 */
struct ps_column {
	const char *name, *header;
	int width;
	text_fn text;
};

static const char *number(char *buf, uint64_t n)
{
	(void)rsm_format(buf, TEXT_MAX, "%" PRIu64, n);
	return buf;
}

static const char *user_name(char *buf, uint32_t uid)
{
	const struct passwd *pw = getpwuid(uid);

	if (!pw || rsm_format(buf, TEXT_MAX, "%s", pw->pw_name) < 0)
		(void)number(buf, uid);
	else if (strlen(buf) > 8)
		memcpy(buf + 7, "+", 2);
	return buf;
}

/* The names are those of this host, as with runc. */
static const char *text_user(const struct row *r, char *buf)
{
	return user_name(buf, r->p->euid);
}

static const char *text_ruser(const struct row *r, char *buf)
{
	return user_name(buf, r->p->uid);
}

static const char *text_uid(const struct row *r, char *buf)
{
	return number(buf, r->p->euid);
}

static const char *text_ruid(const struct row *r, char *buf)
{
	return number(buf, r->p->uid);
}

static const char *text_pid(const struct row *r, char *buf)
{
	return number(buf, r->p->pid);
}

static const char *text_ppid(const struct row *r, char *buf)
{
	return number(buf, r->p->ppid);
}

static const char *text_pgid(const struct row *r, char *buf)
{
	return number(buf, r->p->pgid);
}

static const char *text_session(const struct row *r, char *buf)
{
	return number(buf, r->p->session);
}

static const char *text_nlwp(const struct row *r, char *buf)
{
	return number(buf, r->p->threads);
}

static const char *text_rss(const struct row *r, char *buf)
{
	return number(buf, r->p->rss_bytes >> 10);
}

static const char *text_vsz(const struct row *r, char *buf)
{
	return number(buf, r->p->vsz_bytes >> 10);
}

static const char *text_nice(const struct row *r, char *buf)
{
	(void)rsm_format(buf, TEXT_MAX, "%d", r->p->nice);
	return buf;
}

static const char *text_s(const struct row *r, char *buf)
{
	(void)rsm_format(buf, TEXT_MAX, "%.1s", r->p->state);
	return buf;
}

static const char *text_stat(const struct row *r, char *buf)
{
	const Runsm__ProcessInfo *p = r->p;

	(void)rsm_format(buf, TEXT_MAX, "%.1s%s%s%s%s%s", p->state,
			 p->nice < 0   ? "<"
			 : p->nice > 0 ? "N"
				       : "",
			 p->locked ? "L" : "", p->session == p->pid ? "s" : "",
			 p->threads > 1 ? "l" : "",
			 p->tpgid > 0 && (uint32_t)p->tpgid == p->pgid ? "+" : "");
	return buf;
}

/* devices.txt of Linux: what processes of a guest may have as a terminal */
static const char *text_tty(const struct row *r, char *buf)
{
	unsigned major = (r->p->tty >> 8) & 0xfff,
		 minor = (r->p->tty & 0xff) | (r->p->tty >> 20 << 8);

	if (r->p->tty == 0)
		return "?";
	if (major >= 136 && major <= 143)
		(void)rsm_format(buf, TEXT_MAX, "pts/%u", (major - 136) * 256 + minor);
	else if (major == 4)
		(void)rsm_format(buf, TEXT_MAX, "tty%s%u", minor < 64 ? "" : "S",
				 minor < 64 ? minor : minor - 64);
	else if (major == 5 && minor == 1)
		return "console";
	else if (major == 229)
		(void)rsm_format(buf, TEXT_MAX, "hvc%u", minor);
	else
		return "?";
	return buf;
}

/* ---- times */

static const char *text_time(const struct row *r, char *buf)
{
	char days[32] = "";

	if (r->cpu >= DAY)
		(void)rsm_format(days, sizeof(days), "%" PRIu64 "-", r->cpu / DAY);
	(void)rsm_format(buf, TEXT_MAX, "%s%02u:%02u:%02u", days, (unsigned)(r->cpu % DAY / 3600),
			 (unsigned)(r->cpu / 60 % 60), (unsigned)(r->cpu % 60));
	return buf;
}

static const char *text_bsdtime(const struct row *r, char *buf)
{
	(void)rsm_format(buf, TEXT_MAX, "%3" PRIu64 ":%02u", r->cpu / 60, (unsigned)(r->cpu % 60));
	return buf;
}

static const char *text_etime(const struct row *r, char *buf)
{
	uint64_t t = r->elapsed;
	unsigned hours = (unsigned)(t % DAY / 3600), mins = (unsigned)(t / 60 % 60);

	if (t >= DAY)
		(void)rsm_format(buf, TEXT_MAX, "%" PRIu64 "-%02u:%02u:%02u", t / DAY, hours, mins,
				 (unsigned)(t % 60));
	else if (hours)
		(void)rsm_format(buf, TEXT_MAX, "%02u:%02u:%02u", hours, mins, (unsigned)(t % 60));
	else
		(void)rsm_format(buf, TEXT_MAX, "%02u:%02u", mins, (unsigned)(t % 60));
	return buf;
}

static const char *text_etimes(const struct row *r, char *buf)
{
	return number(buf, r->elapsed);
}

static const char *when(const struct row *r, const char *format, char *buf)
{
	struct tm tm;

	if (!localtime_r(&r->start, &tm) || strftime(buf, TEXT_MAX, format, &tm) == 0)
		return "?";
	return buf;
}

static const char *text_stime(const struct row *r, char *buf)
{
	struct tm start, now;

	if (!localtime_r(&r->start, &start) || !localtime_r(&r->now, &now))
		return "?";
	if (start.tm_year != now.tm_year)
		return when(r, "%Y", buf);
	return when(r, start.tm_yday == now.tm_yday ? "%H:%M" : "%b%d", buf);
}

static const char *text_start(const struct row *r, char *buf)
{
	return when(r, r->elapsed < DAY ? "%H:%M:%S" : "  %b %d", buf);
}

static const char *text_lstart(const struct row *r, char *buf)
{
	return when(r, "%a %b %e %H:%M:%S %Y", buf);
}

/* ---- shares */

static const char *permille(char *buf, uint64_t n)
{
	n = rsm_min(n, (uint64_t)999);
	(void)rsm_format(buf, TEXT_MAX, "%u.%u", (unsigned)(n / 10), (unsigned)(n % 10));
	return buf;
}

static const char *text_pcpu(const struct row *r, char *buf)
{
	uint64_t n = r->elapsed ? r->cpu_ticks * (1000 / TICKS_PER_SECOND) / r->elapsed : 0;

	if (n > 999) /* of more than one CPU */
		return number(buf, n / 10);
	return permille(buf, n);
}

static const char *text_c(const struct row *r, char *buf)
{
	uint64_t n = r->elapsed ? r->cpu_ticks * 100 / TICKS_PER_SECOND / r->elapsed : 0;

	return number(buf, rsm_min(n, (uint64_t)99));
}

static const char *text_pmem(const struct row *r, char *buf)
{
	uint64_t rss = rsm_min(r->p->rss_bytes, (uint64_t)SANE_MAX) >> 10;

	return permille(buf, r->memory >> 10 ? rss * 1000 / (r->memory >> 10) : 0);
}

/* ---- commands */

static bool is_zombie(const struct row *r)
{
	return r->p->state[0] == 'Z';
}

static const char *text_comm(const struct row *r, char *buf)
{
	(void)snprintf(buf, TEXT_MAX, "%.64s%s", r->p->comm, is_zombie(r) ? " <defunct>" : "");
	return buf;
}

static const char *text_args(const struct row *r, char *buf)
{
	if (r->p->cmdline[0])
		return r->p->cmdline;
	(void)snprintf(buf, TEXT_MAX, "[%.64s]%s", r->p->comm, is_zombie(r) ? " <defunct>" : "");
	return buf;
}

/* ps(1), STANDARD FORMAT SPECIFIERS; widths and headers are procps's */
static const struct ps_column columns[] = {
	{"%cpu", "%CPU", 4, text_pcpu},
	{"%mem", "%MEM", 4, text_pmem},
	{"args", "COMMAND", -27, text_args},
	{"bsdtime", "TIME", 6, text_bsdtime},
	{"c", "C", 2, text_c},
	{"cmd", "CMD", -27, text_args},
	{"comm", "COMMAND", -15, text_comm},
	{"command", "COMMAND", -27, text_args},
	{"cputime", "TIME", 8, text_time},
	{"etime", "ELAPSED", 11, text_etime},
	{"etimes", "ELAPSED", 7, text_etimes},
	{"euid", "EUID", 5, text_uid},
	{"euser", "EUSER", -8, text_user},
	{"lstart", "STARTED", 24, text_lstart},
	{"ni", "NI", 3, text_nice},
	{"nice", "NI", 3, text_nice},
	{"nlwp", "NLWP", 4, text_nlwp},
	{"pcpu", "%CPU", 4, text_pcpu},
	{"pgid", "PGID", 5, text_pgid},
	{"pgrp", "PGRP", 5, text_pgid},
	{"pid", "PID", 5, text_pid},
	{"pmem", "%MEM", 4, text_pmem},
	{"ppid", "PPID", 5, text_ppid},
	{"rss", "RSS", 5, text_rss},
	{"ruid", "RUID", 5, text_ruid},
	{"ruser", "RUSER", -8, text_ruser},
	{"s", "S", -1, text_s},
	{"sess", "SESS", 5, text_session},
	{"sid", "SID", 5, text_session},
	{"start", "STARTED", 8, text_start},
	{"start_time", "START", -5, text_stime},
	{"stat", "STAT", -4, text_stat},
	{"state", "S", -1, text_s},
	{"stime", "STIME", -5, text_stime},
	{"thcount", "THCNT", 5, text_nlwp},
	{"time", "TIME", 8, text_time},
	{"tname", "TTY", -8, text_tty},
	{"tt", "TT", -8, text_tty},
	{"tty", "TT", -8, text_tty},
	{"ucmd", "CMD", -15, text_comm},
	{"uid", "UID", 5, text_uid},
	{"user", "USER", -8, text_user},
	{"vsz", "VSZ", 6, text_vsz},
};

const struct ps_column *ps_column_find(const char *name, size_t len)
{
	for (size_t i = 0; i < RSM_ARRAY_SIZE(columns); i++)
		if (strlen(columns[i].name) == len && memcmp(columns[i].name, name, len) == 0)
			return &columns[i];
	return NULL;
}

const char *ps_column_header(const struct ps_column *column)
{
	return column->header;
}

/* ---- printing */

/* Commands are cut, but in the last column, which is not padded; other long fields stay whole. */
static void print_field(FILE *to, const char *text, int width, bool first, bool last)
{
	size_t len = strlen(text), room = (size_t)abs(width), pad = len < room ? room - len : 0;

	if (!first)
		fputc(' ', to);
	if (width > 0)
		fprintf(to, "%*s", (int)pad, "");
	else if (!last && room >= COMMAND_MIN)
		len = rsm_min(len, room);
	for (size_t i = 0; i < len; i++)
		fputc(text[i] < 0x20 || text[i] > 0x7e ? '?' : text[i], to);
	if (width < 0 && !last)
		fprintf(to, "%*s", (int)pad, "");
}

static int width_of(const struct ps_format *f, size_t i)
{
	int width = f->columns[i]->width;

	return width < 0 ? -rsm_max(-width, f->len[i]) : rsm_max(width, f->len[i]);
}

static struct row calculate(const Runsm__ProcessesResponse *list, const Runsm__ProcessInfo *p)
{
	uint64_t uptime = rsm_min(list->uptime, (uint64_t)SANE_MAX);
	uint64_t born = p->start_ticks / TICKS_PER_SECOND;
	struct row r = {.p = p,
			.cpu_ticks = rsm_min(p->cpu_ticks, (uint64_t)SANE_MAX),
			.memory = list->memory_bytes,
			.elapsed = born < uptime ? uptime - born : 0,
			.now = (time_t)rsm_min(list->time, (uint64_t)SANE_MAX)};

	r.cpu = r.cpu_ticks / TICKS_PER_SECOND;
	r.start = r.now - (time_t)r.elapsed;
	return r;
}

static int by_pid(const void *a, const void *b)
{
	const Runsm__ProcessInfo *const *x = a, *const *y = b;

	return (*x)->pid < (*y)->pid ? -1 : (*x)->pid > (*y)->pid;
}

void ps_print(FILE *to, const struct ps_format *f, const Runsm__ProcessesResponse *list)
{
	if (list->n_processes > 0)
		qsort(list->processes, list->n_processes, sizeof(*list->processes), by_pid);
	for (size_t i = 0; f->title && i < f->n; i++)
		print_field(to, f->headers[i], width_of(f, i), i == 0, i + 1 == f->n);
	if (f->title)
		fputc('\n', to);
	for (size_t n = 0; n < list->n_processes; n++) {
		struct row r = calculate(list, list->processes[n]);

		for (size_t i = 0; i < f->n; i++) {
			char buf[TEXT_MAX];

			print_field(to, f->columns[i]->text(&r, buf), width_of(f, i), i == 0,
				    i + 1 == f->n);
		}
		fputc('\n', to);
	}
}
