// SPDX-License-Identifier: Apache-2.0
#include "image/guest.h"

#include "base/io.h"
#include "base/math.h"
#include "cmocka_all.h"
#include "image/initramfs.h"
#include "image/sha256.h"
#include "image_samples.h"

#include <archive.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char control[] = "Package: linux-image-test\nVersion: 6.1-1\nArchitecture: amd64\n";

/* Of the sample package: those that every guest needs, one that nobody does, those of devices. */
#define N_NEEDED  5
#define N_MODULES 9

/* A directory with the files a build takes; the image goes to @image in it. */
struct bench {
	char dir[64];
	char image[80], agent[80], kernel[80], deb[80];
};

static void write_deb(const char *path, const char *vermagic, size_t n_modules)
{
	static const struct {
		const char *path, *depends;
	} modules[] = {
		{"lib/modules/x/virtiofs.ko", "fuse,virtio"},
		{"lib/modules/x/vmw_vsock_virtio_transport.ko", "vsock"},
		{"lib/modules/x/fuse.ko", ""},
		{"lib/modules/x/vsock.ko", ""},
		{"lib/modules/x/virtio.ko", ""},
		{"lib/modules/x/other.ko", ""},
		{"lib/modules/x/virtio_net.ko", "net-failover"},
		{"lib/modules/x/net-failover.ko", ""},
		{"lib/modules/x/virtio_balloon.ko", "virtio"},
	};
	struct sample elf = sample_elf(0), bz = sample_bzimage(elf, ARCHIVE_FILTER_XZ), deb;
	struct sample_file files[2 + RSM_ARRAY_SIZE(modules)];
	size_t n = 0;

	files[n++] = (struct sample_file){"boot/vmlinuz-x", bz};
	files[n++] = (struct sample_file){"lib/modules/x/modules.builtin",
					  sample_text("kernel/virtio_mmio.ko\n")};
	for (size_t i = 0; i < n_modules; i++)
		files[n++] = (struct sample_file){modules[i].path,
						  sample_ko(modules[i].depends, vermagic)};
	deb = sample_deb(control, files, n);
	sample_write(deb, path);
	sample_free(&deb);
	sample_free(&elf);
	for (size_t i = 0; i < n; i++)
		sample_free(&files[i].contents);
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct sample agent = sample_elf(0), kernel = sample_elf(SAMPLE_MMIO);

	assert_non_null(b);
	strcpy(b->dir, "/tmp/runsm-test-image.XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	rsm_format(b->image, sizeof(b->image), "%s/guest", b->dir);
	rsm_format(b->agent, sizeof(b->agent), "%s/agent", b->dir);
	rsm_format(b->kernel, sizeof(b->kernel), "%s/vmlinux", b->dir);
	rsm_format(b->deb, sizeof(b->deb), "%s/kernel.deb", b->dir);
	sample_write(agent, b->agent);
	sample_write(kernel, b->kernel);
	write_deb(b->deb, SAMPLE_VERSION, N_MODULES);
	sample_free(&agent);
	sample_free(&kernel);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	int r = rsm_remove_tree_at(AT_FDCWD, b->dir);

	free(b);
	return r;
}

static int build(const struct img_guest_build *how, struct rsm_error *err)
{
	struct img_guest g = {0};
	int r = img_guest_build(how, &g, err);

	img_guest_free(&g);
	return r;
}

static int check(const struct bench *b)
{
	_cleanup_guest_ struct img_guest g = {0};
	int r = img_guest_load(b->image, &g, NULL);

	return r < 0 ? r : img_guest_verify(b->image, &g, NULL);
}

static size_t count_entries(const char *path)
{
	DIR *dir = opendir(path);
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void an_image_from_a_package_has_what_it_needs_in_order(void **state)
{
	const struct bench *b = *state;
	struct img_guest_build how = {.dir = b->image, .agent = b->agent, .deb = b->deb};
	_cleanup_guest_ struct img_guest g = {0};
	struct rsm_error err = RSM_ERROR_INIT;

	assert_int_equal(build(&how, &err), 1);
	assert_int_equal(img_guest_load(b->image, &g, &err), 0);
	assert_int_equal(img_guest_verify(b->image, &g, &err), 0);
	assert_string_equal(g.kernel_version, SAMPLE_VERSION);
	assert_string_equal(g.package, "linux-image-test");
	assert_string_equal(g.package_version, "6.1-1");
	assert_string_equal(g.source, "kernel.deb");
	assert_true(g.pvh);
	assert_int_equal(g.n_modules, N_NEEDED + 3); /* virtio_mmio is built in, other not needed */
	assert_string_equal(g.modules[0], "fuse");
	assert_string_equal(g.modules[1], "virtio");
	assert_string_equal(g.modules[2], "virtiofs");
	assert_string_equal(g.modules[3], "vsock");
	assert_string_equal(g.modules[4], "vmw_vsock_virtio_transport");
	assert_string_equal(g.modules[5], "net_failover");
	assert_string_equal(g.modules[6], "virtio_net");
	assert_string_equal(g.modules[7], "virtio_balloon");
}

static void expect_conditions(const struct bench *b)
{
	static const char *const when[N_NEEDED + 3] = {"", "",         "",         "",
						       "", "virtio:1", "virtio:1", "late:5"};
	struct img_ko_set set = {0};
	size_t *order = NULL, n;
	char path[96];
	int fd;

	rsm_format(path, sizeof(path), "%s/initrd", b->image);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(img_initramfs_read_modules(fd, &set, &order, &n, NULL), 0);
	close(fd);
	assert_int_equal(n, N_NEEDED + 3);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(set.ko[order[i]].when, when[i]);
	img_ko_set_free(&set);
	free(order);
}

static void modules_of_devices_wait_for_the_device_also_under_a_new_agent(void **state)
{
	const struct bench *b = *state;
	struct img_guest_build how = {.dir = b->image, .agent = b->agent, .deb = b->deb};
	struct img_guest_build again = {.dir = b->image, .agent = b->agent, .initrd_only = true};

	assert_int_equal(build(&how, NULL), 1);
	expect_conditions(b);
	assert_int_equal(build(&again, NULL), 1);
	expect_conditions(b);
}

static void kernel_without_modules_for_devices_will_do(void **state)
{
	const struct bench *b = *state;
	struct img_guest_build how = {.dir = b->image, .agent = b->agent, .deb = b->deb};
	_cleanup_guest_ struct img_guest g = {0};

	write_deb(b->deb, SAMPLE_VERSION, N_NEEDED);
	assert_int_equal(build(&how, NULL), 1);
	assert_int_equal(img_guest_load(b->image, &g, NULL), 0);
	assert_int_equal(g.n_modules, N_NEEDED);
}

static void an_image_from_a_kernel_file_has_no_modules(void **state)
{
	const struct bench *b = *state;
	struct img_guest_build how = {.dir = b->image, .agent = b->agent, .kernel = b->kernel};
	_cleanup_guest_ struct img_guest g = {0};

	assert_int_equal(build(&how, NULL), 1);
	assert_int_equal(img_guest_load(b->image, &g, NULL), 0);
	assert_int_equal(g.n_modules, 0);
	assert_true(g.mmio_cmdline);
	assert_string_equal(g.package, "");
}

static void an_intact_image_is_kept_and_a_new_agent_renews_the_initrd_only(void **state)
{
	const struct bench *b = *state;
	struct img_guest_build how = {.dir = b->image, .agent = b->agent, .deb = b->deb};
	struct img_guest_build again = {.dir = b->image, .agent = b->agent};
	_cleanup_guest_ struct img_guest before = {0}, after = {0};
	struct sample agent = sample_elf(SAMPLE_MMIO);

	assert_int_equal(build(&how, NULL), 1);
	assert_int_equal(img_guest_load(b->image, &before, NULL), 0);
	assert_int_equal(build(&again, NULL), 0);
	sample_write(agent, b->agent);
	sample_free(&agent);
	assert_int_equal(build(&again, NULL), 1);
	assert_int_equal(img_guest_load(b->image, &after, NULL), 0);
	assert_int_equal(img_guest_verify(b->image, &after, NULL), 0);
	assert_string_equal(before.kernel.sha256, after.kernel.sha256);
	assert_string_not_equal(before.initrd.sha256, after.initrd.sha256);
	assert_string_equal(after.package, "linux-image-test");
	assert_int_equal(after.n_modules, N_NEEDED + 3);
	assert_string_equal(after.modules[4], "vmw_vsock_virtio_transport");
}

static void a_failed_build_leaves_the_old_image_and_nothing_else(void **state)
{
	const struct bench *b = *state;
	struct img_guest_build how = {.dir = b->image, .agent = b->agent, .deb = b->deb};
	size_t entries;

	assert_int_equal(build(&how, NULL), 1);
	entries = count_entries(b->dir);
	write_deb(b->deb, SAMPLE_VERSION, 3); /* vsock is missing */
	assert_int_equal(build(&how, NULL), -ENOENT);
	assert_int_equal(check(b), 0);
	assert_int_equal(count_entries(b->dir), entries);
}

static void modules_of_another_kernel_are_refused(void **state)
{
	const struct bench *b = *state;
	struct img_guest_build how = {.dir = b->image, .agent = b->agent, .deb = b->deb};
	struct rsm_error err = RSM_ERROR_INIT;

	write_deb(b->deb, "6.2.0", 6);
	assert_int_equal(build(&how, &err), -EINVAL);
	assert_non_null(strstr(err.message, "is for kernel '6.2.0'"));
}

static void damage_is_found_and_repaired(void **state)
{
	const struct bench *b = *state;
	struct img_guest_build how = {.dir = b->image, .agent = b->agent, .kernel = b->kernel};
	_cleanup_guest_ struct img_guest g = {0};
	char path[96];
	int fd;

	assert_int_equal(img_guest_load(b->image, &g, NULL), -ENOENT);
	assert_int_equal(build(&how, NULL), 1);
	rsm_format(path, sizeof(path), "%s/kernel", b->image);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 100), 1);
	assert_int_equal(check(b), -EINVAL);
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_int_equal(img_guest_load(b->image, &g, NULL), -EINVAL);
	close(fd);
	assert_int_equal(build(&how, NULL), 1);
	assert_int_equal(check(b), 0);
	rsm_format(path, sizeof(path), "%s/manifest.json", b->image);
	assert_int_equal(truncate(path, 10), 0);
	assert_int_equal(img_guest_load(b->image, &g, NULL), -EINVAL);
}

static void a_directory_with_other_things_is_not_replaced(void **state)
{
	const struct bench *b = *state;
	struct img_guest_build how = {.dir = b->dir, .agent = b->agent, .kernel = b->kernel};

	assert_int_equal(build(&how, NULL), -ENOTEMPTY);
	how.dir = "/";
	assert_int_equal(build(&how, NULL), -EINVAL);
	assert_int_equal(access(b->kernel, F_OK), 0);
}

static void what_a_killed_build_left_is_removed_but_not_one_at_work(void **state)
{
	const struct bench *b = *state;
	struct img_guest_build how = {.dir = b->image, .agent = b->agent, .kernel = b->kernel};
	char stale[96], busy[96];
	int fd;

	rsm_format(stale, sizeof(stale), "%s.tmp-stale", b->image);
	rsm_format(busy, sizeof(busy), "%s.tmp-busy", b->image);
	assert_int_equal(mkdir(stale, 0755), 0);
	assert_int_equal(mkdir(busy, 0755), 0);
	fd = open(busy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(build(&how, NULL), 1);
	assert_int_equal(access(stale, F_OK), -1);
	assert_int_equal(access(busy, F_OK), 0);
	close(fd);
}

static void a_dynamic_agent_is_refused(void **state)
{
	const struct bench *b = *state;
	struct img_guest_build how = {.dir = b->image, .agent = b->agent, .kernel = b->kernel};
	struct sample agent = sample_elf(SAMPLE_INTERP);

	sample_write(agent, b->agent);
	sample_free(&agent);
	assert_int_equal(build(&how, NULL), -ENOEXEC);
}

static void an_initramfs_gives_its_modules_back(void **state)
{
	struct img_ko_set in = {0}, out = {0};
	size_t order[] = {1, 0}, n;
	size_t *read_order = NULL;
	int fd = memfd_create("initrd", MFD_CLOEXEC);
	struct sample a = sample_ko("b", "v"), b = sample_ko("", "v");

	assert_int_equal(img_ko_set_add(&in, "a", a.data, a.len, NULL), 0);
	assert_int_equal(img_ko_set_add(&in, "b", b.data, b.len, NULL), 0);
	assert_int_equal(img_initramfs_write(fd, "agent", 5, &in, order, 2, NULL), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(img_initramfs_read_modules(fd, &out, &read_order, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_string_equal(out.ko[read_order[0]].name, "b");
	assert_string_equal(out.ko[read_order[1]].name, "a");
	assert_int_equal(out.ko[read_order[1]].len, a.len);
	assert_memory_equal(out.ko[read_order[1]].data, a.data, a.len);
	img_ko_set_free(&in);
	img_ko_set_free(&out);
	free(read_order);
	close(fd);
}

static void sha256_gives_the_standards_examples(void **state)
{
	/* FIPS 180-4's examples, and lengths around a block's end */
	static const struct {
		const char *text;
		size_t repeat;
		const char *sum;
	} cases[] = {
		{"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
		 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
		{"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++) {
		char sum[IMG_SHA256_HEX_SIZE];
		struct img_sha256 s;

		img_sha256_init(&s);
		for (size_t k = 0; k < cases[i].repeat; k++)
			img_sha256_update(&s, cases[i].text, strlen(cases[i].text));
		img_sha256_hex(&s, sum);
		assert_string_equal(sum, cases[i].sum);
	}
}

int main(void)
{
#define ON_BENCH(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ON_BENCH(an_image_from_a_package_has_what_it_needs_in_order),
		ON_BENCH(modules_of_devices_wait_for_the_device_also_under_a_new_agent),
		ON_BENCH(kernel_without_modules_for_devices_will_do),
		ON_BENCH(an_image_from_a_kernel_file_has_no_modules),
		ON_BENCH(an_intact_image_is_kept_and_a_new_agent_renews_the_initrd_only),
		ON_BENCH(a_failed_build_leaves_the_old_image_and_nothing_else),
		ON_BENCH(modules_of_another_kernel_are_refused),
		ON_BENCH(damage_is_found_and_repaired),
		ON_BENCH(a_directory_with_other_things_is_not_replaced),
		ON_BENCH(what_a_killed_build_left_is_removed_but_not_one_at_work),
		ON_BENCH(a_dynamic_agent_is_refused),
		cmocka_unit_test(an_initramfs_gives_its_modules_back),
		cmocka_unit_test(sha256_gives_the_standards_examples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
