// SPDX-License-Identifier: Apache-2.0
#include "base/io.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/math.h"
#include "cmocka_all.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct dir {
	char path[64];
	int fd;
};

static int make_dir(void **state)
{
	static struct dir d;

	strcpy(d.path, "/tmp/runsm-test-io.XXXXXX");
	assert_non_null(mkdtemp(d.path));
	d.fd = open(d.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(d.fd >= 0);
	*state = &d;
	return 0;
}

static int remove_dir(void **state)
{
	struct dir *d = *state;

	close(d->fd);
	return rsm_remove_tree_at(AT_FDCWD, d->path);
}

static void atomic_write_replaces_and_leaves_no_temporary(void **state)
{
	struct dir *d = *state;
	_cleanup_free_ char *text = NULL;
	size_t len;
	int stray = openat(d->fd, ".f.tmp", O_CREAT | O_WRONLY, 0600); /* of a killed writer */

	close(stray);
	assert_int_equal(rsm_write_file_atomic_at(d->fd, "f", "one", 3, 0600), 0);
	assert_int_equal(rsm_write_file_atomic_at(d->fd, "f", "three", 5, 0600), 0);
	assert_int_equal(rsm_read_file_at(d->fd, "f", 5, &text, &len), 0);
	assert_int_equal(len, 5);
	assert_string_equal(text, "three");
	assert_int_equal(faccessat(d->fd, ".f.tmp", F_OK, 0), -1);
}

static void reading_more_than_the_bound_is_refused(void **state)
{
	struct dir *d = *state;
	char *text = NULL;

	assert_int_equal(rsm_write_file_atomic_at(d->fd, "f", "123456", 6, 0600), 0);
	assert_int_equal(rsm_read_file_at(d->fd, "f", 5, &text, NULL), -EFBIG);
	assert_int_equal(rsm_read_file_at(d->fd, "nothing", 5, &text, NULL), -ENOENT);
}

static void remove_tree_does_not_follow_symlinks(void **state)
{
	struct dir *d = *state;

	assert_int_equal(mkdirat(d->fd, "keep", 0700), 0);
	assert_int_equal(mkdirat(d->fd, "keep/inner", 0700), 0);
	assert_int_equal(mkdirat(d->fd, "gone", 0700), 0);
	assert_int_equal(symlinkat("../keep", d->fd, "gone/link"), 0);
	assert_int_equal(mkdirat(d->fd, "gone/sub", 0700), 0);
	assert_int_equal(rsm_remove_tree_at(d->fd, "gone"), 0);
	assert_int_equal(faccessat(d->fd, "gone", F_OK, 0), -1);
	assert_int_equal(faccessat(d->fd, "keep/inner", F_OK, 0), 0);
	assert_int_equal(rsm_remove_tree_at(d->fd, "gone"), 0);
}

static void long_socket_directories_work(void **state)
{
	struct dir *d = *state;
	_cleanup_close_ int deep = -1, listener = -1, client = -1;
	char name[200];
	struct stat st;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(mkdirat(d->fd, name, 0700), 0);
	deep = openat(d->fd, name, O_RDONLY | O_DIRECTORY);
	listener = rsm_unix_listen_at(deep, "control.sock", 1);
	assert_true(listener >= 0);
	client = rsm_unix_connect_at(deep, "control.sock");
	assert_true(client >= 0);
	assert_int_equal(fstatat(deep, "control.sock", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void formatting_fails_instead_of_truncating(void **state)
{
	char buf[4];

	assert_int_equal(rsm_format(buf, sizeof(buf), "%s", "abc"), 0);
	assert_int_equal(rsm_format(buf, sizeof(buf), "%s", "abcd"), -ENAMETOOLONG);
}

static void cursor_never_passes_its_end(void **state)
{
	static const char bytes[] = { 'a', 'b', 0, 'c' };
	struct rsm_cursor c = rsm_cursor(bytes, sizeof(bytes));
	uint16_t v;

	assert_string_equal(rsm_cursor_string(&c), "ab");
	assert_null(rsm_cursor_string(&c)); /* no NUL in what is left */
	assert_false(rsm_cursor_get(&c, &v));
	assert_int_equal(c.left, 1);
	assert_null(rsm_cursor_bytes(&c, SIZE_MAX));
}

static void buffer_grows_and_remembers_failure(void **state)
{
	_cleanup_buf_ struct rsm_buf b = { 0 };

	for (int i = 0; i < 1000; i++)
		assert_int_equal(rsm_buf_addf(&b, "%03d,", i), 0);
	assert_int_equal(b.len, 4000);
	rsm_buf_consume(&b, 4);
	assert_memory_equal(b.data, "001,", 4);
	assert_null(rsm_buf_reserve(&b, SIZE_MAX));
	assert_int_equal(rsm_buf_addstr(&b, "x"), -ENOMEM);
	assert_int_equal(rsm_buf_ok(&b), -ENOMEM);
}

static void checked_arithmetic_leaves_the_result_alone_on_overflow(void **state)
{
	uint64_t v = 7;

	assert_false(rsm_add(UINT64_MAX, 1ULL, &v));
	assert_false(rsm_mul(UINT64_MAX, 2ULL, &v));
	assert_false(rsm_align_up(UINT64_MAX, 4096, &v));
	assert_int_equal(v, 7);
	assert_true(rsm_align_up(4097, 4096, &v));
	assert_int_equal(v, 8192);
}

static void error_messages_read_from_the_outside_in(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;

	assert_int_equal(rsm_fail_errno(&err, ENOENT, "open '%s'", "config.json"), -ENOENT);
	assert_int_equal(rsm_error_prefix(&err, "load bundle '%s'", "/b"), -ENOENT);
	assert_string_equal(err.message,
			    "load bundle '/b': open 'config.json': No such file or directory");
	assert_int_equal(rsm_fail(NULL, EINVAL, "nobody listens"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(atomic_write_replaces_and_leaves_no_temporary,
						make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(reading_more_than_the_bound_is_refused, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(remove_tree_does_not_follow_symlinks, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(long_socket_directories_work, make_dir, remove_dir),
		cmocka_unit_test(formatting_fails_instead_of_truncating),
		cmocka_unit_test(cursor_never_passes_its_end),
		cmocka_unit_test(buffer_grows_and_remembers_failure),
		cmocka_unit_test(checked_arithmetic_leaves_the_result_alone_on_overflow),
		cmocka_unit_test(error_messages_read_from_the_outside_in),
	};

	return cmocka_run_group_tests_name("base/io", tests, NULL, NULL);
}
