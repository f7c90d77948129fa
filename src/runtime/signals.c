// SPDX-License-Identifier: Apache-2.0
#include "runtime/signals.h"

#include "base/math.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Of x86-64 Linux: the guest's numbers, whatever the host's C library calls them. */
static const struct {
	const char *name;
	int number;
} names[] = {
	{"HUP", 1},   {"INT", 2},   {"QUIT", 3},  {"ILL", 4},     {"TRAP", 5},    {"ABRT", 6},
	{"IOT", 6},   {"BUS", 7},   {"FPE", 8},   {"KILL", 9},    {"USR1", 10},   {"SEGV", 11},
	{"USR2", 12}, {"PIPE", 13}, {"ALRM", 14}, {"TERM", 15},   {"STKFLT", 16}, {"CHLD", 17},
	{"CLD", 17},  {"CONT", 18}, {"STOP", 19}, {"TSTP", 20},   {"TTIN", 21},   {"TTOU", 22},
	{"URG", 23},  {"XCPU", 24}, {"XFSZ", 25}, {"VTALRM", 26}, {"PROF", 27},   {"WINCH", 28},
	{"IO", 29},   {"POLL", 29}, {"PWR", 30},  {"SYS", 31},    {"UNUSED", 31},
};

/* As a process sees them: the C library keeps 32 and 33 for itself. */
#define RT_MIN 34
#define RT_MAX 64

static int number(const char *s)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(s, &end, 10);
	return errno || *end || n > RT_MAX ? -1 : (int)n;
}

static int real_time(const char *s)
{
	int base = strncasecmp(s, "RTMIN", 5) == 0 ? RT_MIN : RT_MAX, n;

	if (s[5] == '\0')
		return base;
	if (s[5] != (base == RT_MIN ? '+' : '-') || s[6] < '0' || s[6] > '9')
		return -1;
	n = number(s + 6);
	if (n < 0)
		return -1;
	n = base == RT_MIN ? base + n : base - n;
	return n < RT_MIN || n > RT_MAX ? -1 : n;
}

int sig_parse(const char *s)
{
	if (s[0] >= '0' && s[0] <= '9')
		return number(s);
	if (strncasecmp(s, "SIG", 3) == 0)
		s += 3;
	for (size_t i = 0; i < RSM_ARRAY_SIZE(names); i++)
		if (strcasecmp(names[i].name, s) == 0)
			return names[i].number;
	if (strncasecmp(s, "RTMIN", 5) == 0 || strncasecmp(s, "RTMAX", 5) == 0)
		return real_time(s);
	return -1;
}
