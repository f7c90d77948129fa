// SPDX-License-Identifier: Apache-2.0
/*
 * The remembered verdict: a text file of four lines, "runsm-kvm-probe 1", the key, "usable PS" or
 * "unusable PS" (PS: picoseconds per instruction), and the reason. Anything else is as good as no
 * file.
 */
#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/io.h"
#include "vmm/probe_vm.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CACHE_MAGIC "runsm-kvm-probe 1"
#define CACHE_MAX   512

/* The next line of @text, NUL-terminated in place; NULL at the end. */
static char *next_line(char **text)
{
	char *line = *text, *end = line ? strchr(line, '\n') : NULL;

	if (!end)
		return NULL;
	*end = '\0';
	*text = end + 1;
	return line;
}

static int parse(char *text, const char *key, struct kvm_probe_result *ret)
{
	struct kvm_probe_result found = {.cached = true};
	char *line = next_line(&text), *rest;

	if (!line || strcmp(line, CACHE_MAGIC) != 0)
		return -ENOENT;
	line = next_line(&text);
	if (!line || strcmp(line, key) != 0)
		return -ENOENT;
	line = next_line(&text);
	rest = line ? strchr(line, ' ') : NULL;
	if (!rest)
		return -ENOENT;
	*rest++ = '\0';
	if (strcmp(line, "usable") == 0)
		found.state = KVM_PROBE_USABLE;
	else if (strcmp(line, "unusable") == 0)
		found.state = KVM_PROBE_UNUSABLE;
	else
		return -ENOENT;
	found.ps_per_insn = strtoull(rest, NULL, 10);
	line = next_line(&text);
	if (!line || strlen(line) >= sizeof(found.reason))
		return -ENOENT;
	strcpy(found.reason, line);
	*ret = found;
	return 0;
}

int probe_cache_load(int dirfd, const char *name, const char *key, struct kvm_probe_result *ret)
{
	_cleanup_close_ int fd =
		openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char text[CACHE_MAX + 1];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -ENOENT;
	if (!S_ISREG(st.st_mode) || (st.st_mode & (S_IWGRP | S_IWOTH)) ||
	    (st.st_uid != 0 && st.st_uid != geteuid()))
		return -ENOENT;
	n = rsm_read_full(fd, text, CACHE_MAX);
	if (n < 0)
		return -ENOENT;
	text[n] = '\0';
	return parse(text, key, ret);
}

void probe_cache_store(int dirfd, const char *name, const char *key,
		       const struct kvm_probe_result *result)
{
	char text[CACHE_MAX];
	int n = snprintf(text, sizeof(text), CACHE_MAGIC "\n%s\n%s %" PRIu64 "\n%s\n", key,
			 kvm_probe_state_name(result->state), result->ps_per_insn, result->reason);

	if (n > 0 && (size_t)n < sizeof(text))
		rsm_write_file_atomic_at(dirfd, name, text, (size_t)n, 0644);
}
