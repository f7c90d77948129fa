// SPDX-License-Identifier: Apache-2.0
/*
 * Stands in for libFuzzer in make check: gives every file of the harness's corpus to it, each from
 * a heap block of exactly its size so that a sanitizer sees the first byte read too far.
 *
 * The corpus is $srcdir/tests/fuzz/corpus/PROGRAM/, or the files given as arguments.
 */
#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <string.h>

#define FILE_MAX_BYTES (16U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(int dirfd, const char *name)
{
	_cleanup_free_ char *text = NULL;
	uint8_t *exact;
	size_t len;
	int ret = rsm_read_file_at(dirfd, name, FILE_MAX_BYTES, &text, &len);

	if (ret < 0)
		return ret;
	exact = malloc(len);
	if (len > 0 && !exact)
		return -ENOMEM;
	if (len > 0)
		memcpy(exact, text, len);
	(void)LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	return 0;
}

static void report(int *count, int ret, const char *name)
{
	printf("%s %d - %s\n", ret < 0 ? "not ok" : "ok", ++*count, name);
	(void)fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir"), *slash = strrchr(argv[0], '/');
	_cleanup_closedir_ DIR *dir = NULL;
	char path[4096];
	int count = 0;

	for (int i = 1; i < argc; i++)
		report(&count, replay(AT_FDCWD, argv[i]), argv[i]);
	if (argc == 1) {
		(void)snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".",
			       slash ? slash + 1 : argv[0]);
		dir = opendir(path);
		if (!dir) {
			printf("Bail out! no corpus %s\n", path);
			return 1;
		}
		for (struct dirent *e; (e = readdir(dir)) != NULL;)
			if (e->d_name[0] != '.')
				report(&count, replay(dirfd(dir), e->d_name), e->d_name);
	}
	printf("1..%d\n", count);
	return 0;
}
