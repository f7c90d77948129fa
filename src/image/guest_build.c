/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building a guest image.
 *
 * Everything is made in a directory beside the target, DIR.tmp-XXXXXX, which is flock()ed while a
 * build works in it. At the end it takes the target's name, by rename(2) or, if an image is there,
 * by renameat2(RENAME_EXCHANGE), after which it holds the old image and is removed. A build that
 * was killed leaves its directory, unlocked; the next build removes it. Two builds at once both
 * work, and the last one's image stays.
 */
#include "config.h"

#include "image/guest.h"

#include "base/io.h"
#include "base/math.h"
#include "image/apt.h"
#include "image/deb.h"
#include "image/elf.h"
#include "image/initramfs.h"
#include "image/kernel_image.h"
#include "image/manifest.h"
#include "image/modules_dir.h"
#include "image/sha256.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define AGENT_MAX ((size_t)64 * 1024 * 1024)
#define TMP_INFIX ".tmp-"

static_assert(IMG_SHA256_SIZE == IMG_SHA256_HEX_SIZE, "img_file holds a checksum");

/*
 * What the agent needs before it can talk to the host, and what it loads when there is such a
 * device. What these depend on comes with them. A kernel may lack the latter: it has no use for
 * such devices then.
 */
static const struct {
	const char *name, *when;
} wanted_modules[] = {
	{"virtio_mmio", ""},        {"virtiofs", ""},           {"vmw_vsock_virtio_transport", ""},
	{"virtio_net", "virtio:1"}, {"virtio_blk", "virtio:2"}, {"virtio_balloon", "late:5"},
};

/**
 * struct build - A build at work
 * @parent:	directory fd of the image directory's parent; @name is the image's name in it
 * @tmp:	the temporary directory, as a name in @parent and as fd (locked)
 * @order:	indices into @modules
 */
struct build {
	const struct img_guest_build *how;
	int parent;
	char name[NAME_MAX + 1];
	char tmp_name[NAME_MAX + 1];
	int tmp;
	void *agent;
	size_t agent_len;
	struct img_kernel kernel;
	struct img_ko_set modules;
	char *builtin;
	size_t *order;
	size_t n_order;
	struct img_guest guest;
};

static void say(const struct build *b, const char *what)
{
	if (b->how->progress)
		b->how->progress(b->how->cookie, what);
}

/* ---------------------------------------------------------------- directories */

/* Split @how->dir into an open parent and a name. */
static int open_parent(struct build *b, struct rsm_error *err)
{
	_cleanup_free_ char *path = strdup(b->how->dir);
	const char *parent = ".", *name = path;
	char *slash;
	int r;

	if (!path)
		return rsm_fail_errno(err, ENOMEM, "guest image");
	for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
		path[len - 1] = '\0';
	slash = strrchr(path, '/');
	if (slash) {
		name = slash + 1;
		*slash = '\0';
		parent = *path ? path : "/";
	}
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return rsm_fail(err, EINVAL,
				"'%s' cannot be an image directory: give one with a "
				"name of its own",
				b->how->dir);
	r = rsm_mkdir_p(parent, 0755);
	if (r < 0)
		return rsm_fail_errno(err, r, "create '%s'", parent);
	b->parent = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->parent < 0)
		return rsm_fail_errno(err, errno, "open '%s'", parent);
	if (rsm_format(b->name, sizeof(b->name), "%s", name) < 0)
		return rsm_fail_errno(err, ENAMETOOLONG, "'%s'", b->how->dir);
	return 0;
}

/* Refuse to replace a directory that holds something else. */
static int check_target(const struct build *b, struct rsm_error *err)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *e;
	bool empty = true;
	int fd = openat(b->parent, b->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : rsm_fail_errno(err, errno, "open '%s'", b->how->dir);
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return rsm_fail_errno(err, ENOMEM, "read '%s'", b->how->dir);
	}
	while ((e = readdir(dir))) {
		if (strcmp(e->d_name, IMG_MANIFEST_FILE) == 0)
			return 0;
		empty = empty && e->d_name[0] == '.' && strcmp(e->d_name, "..") <= 0;
	}
	return empty ? 0
		     : rsm_fail(err, ENOTEMPTY,
				"'%s' is not empty and not a guest image: give another directory "
				"with --output",
				b->how->dir);
}

/* Take the build directory's lock. Return: its fd, or -EWOULDBLOCK if a build is at work in it */
static int open_locked(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd < 0 ? -errno : fd;
}

static void remove_stale(const struct build *b)
{
	_cleanup_closedir_ DIR *dir = NULL;
	size_t len = strlen(b->name);
	const struct dirent *e;
	int fd = openat(b->parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		rsm_close(&fd);
		return;
	}
	while ((e = readdir(dir))) {
		_cleanup_close_ int stale = -1;

		if (strncmp(e->d_name, b->name, len) != 0 ||
		    strncmp(e->d_name + len, TMP_INFIX, strlen(TMP_INFIX)) != 0)
			continue;
		stale = open_locked(b->parent, e->d_name);
		if (stale >= 0)
			(void)rsm_remove_tree_at(b->parent, e->d_name);
	}
}

static int make_tmp(struct build *b, struct rsm_error *err)
{
	char path[64 + NAME_MAX];
	int r;

	r = rsm_format(path, sizeof(path), "/proc/self/fd/%d/%s" TMP_INFIX "XXXXXX", b->parent,
		       b->name);
	if (r < 0 || !mkdtemp(path))
		return rsm_fail_errno(err, r < 0 ? r : errno, "create a directory beside '%s'",
				      b->how->dir);
	r = rsm_format(b->tmp_name, sizeof(b->tmp_name), "%s", strrchr(path, '/') + 1);
	if (!r)
		b->tmp = open_locked(b->parent, b->tmp_name);
	if (r < 0 || b->tmp < 0)
		return rsm_fail_errno(err, r < 0 ? r : b->tmp, "open '%s'", b->tmp_name);
	/* mkdtemp() makes it private; an image may be read by everyone */
	if (fchmod(b->tmp, 0755) < 0)
		return rsm_fail_errno(err, errno, "chmod '%s'", b->tmp_name);
	return 0;
}

static int put_in_place(struct build *b, struct rsm_error *err)
{
	if (fsync(b->tmp) < 0)
		return rsm_fail_errno(err, errno, "sync '%s'", b->tmp_name);
	if (renameat2(b->parent, b->tmp_name, b->parent, b->name, RENAME_NOREPLACE) < 0) {
		if (errno != EEXIST)
			return rsm_fail_errno(err, errno, "rename to '%s'", b->how->dir);
		if (renameat2(b->parent, b->tmp_name, b->parent, b->name, RENAME_EXCHANGE) < 0)
			return rsm_fail_errno(err, errno, "exchange '%s'", b->how->dir);
	} else {
		b->tmp_name[0] = '\0';
	}
	if (fsync(b->parent) < 0)
		return rsm_fail_errno(err, errno, "sync the directory of '%s'", b->how->dir);
	return 0;
}

/* ---------------------------------------------------------------- what goes in */

static int read_agent(struct build *b, struct rsm_error *err)
{
	struct img_sha256 sum;
	struct img_elf elf;
	char *data;
	int r = rsm_read_file_at(AT_FDCWD, b->how->agent, AGENT_MAX, &data, &b->agent_len);

	if (r < 0)
		return rsm_fail_errno(err, r, "read the agent '%s'", b->how->agent);
	b->agent = data;
	r = img_elf_open(b->agent, b->agent_len, &elf, err);
	if (r < 0) {
		(void)rsm_error_prefix(err, "agent '%s'", b->how->agent);
		return r;
	}
	if (img_elf_has_segment(&elf, PT_INTERP))
		return rsm_fail(err, ENOEXEC,
				"agent '%s' is not a static executable: the guest has no libraries "
				"to run it with",
				b->how->agent);
	img_sha256_init(&sum);
	img_sha256_update(&sum, b->agent, b->agent_len);
	img_sha256_hex(&sum, b->guest.agent.sha256);
	b->guest.agent.bytes = b->agent_len;
	/* symbols and debug information would only be copied at each boot */
	b->agent_len = img_elf_strip(&elf, b->agent);
	return 0;
}

static void set_source(struct build *b, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (rsm_format(b->guest.source, sizeof(b->guest.source), "%s", slash ? slash + 1 : path))
		b->guest.source[0] = '\0';
}

static int from_deb(struct build *b, int fd, const char *path, struct rsm_error *err)
{
	_cleanup_deb_ struct img_deb deb = {0};
	int r;

	say(b, "unpack the kernel");
	r = img_deb_read(fd, &deb, err);
	if (!r)
		r = img_kernel_read(deb.kernel, deb.kernel_len, &b->kernel, err);
	if (r < 0) {
		(void)rsm_error_prefix(err, "kernel package '%s'", path);
		return r;
	}
	set_source(b, path);
	rsm_format(b->guest.package, sizeof(b->guest.package), "%s", deb.package);
	rsm_format(b->guest.package_version, sizeof(b->guest.package_version), "%s", deb.version);
	b->modules = deb.modules;
	deb.modules = (struct img_ko_set){0};
	b->builtin = rsm_steal_ptr(deb.builtin);
	return 0;
}

static int from_deb_file(struct build *b, struct rsm_error *err)
{
	_cleanup_close_ int fd = open(b->how->deb, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return rsm_fail_errno(err, errno, "open '%s'", b->how->deb);
	return from_deb(b, fd, b->how->deb, err);
}

static int from_download(struct build *b, struct rsm_error *err)
{
	_cleanup_close_ int dir = -1, fd = -1;
	char name[NAME_MAX + 1];
	int r;

	if (mkdirat(b->tmp, "download", 0755) < 0)
		return rsm_fail_errno(err, errno, "create a download directory");
	dir = openat(b->tmp, "download", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return rsm_fail_errno(err, errno, "open the download directory");
	r = img_apt_fetch_kernel(dir, b->how->progress, b->how->cookie, name, sizeof(name), err);
	if (r < 0)
		return r;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return rsm_fail_errno(err, errno, "open the downloaded '%s'", name);
	r = from_deb(b, fd, name, err);
	(void)rsm_remove_tree_at(b->tmp, "download");
	return r;
}

static int from_kernel_file(struct build *b, struct rsm_error *err)
{
	_cleanup_free_ char *data = NULL;
	size_t len;
	int r = rsm_read_file_at(AT_FDCWD, b->how->kernel, IMG_KERNEL_MAX, &data, &len);

	if (r < 0)
		return rsm_fail_errno(err, r, "read the kernel '%s'", b->how->kernel);
	r = img_kernel_read(data, len, &b->kernel, err);
	if (r < 0) {
		(void)rsm_error_prefix(err, "kernel '%s'", b->how->kernel);
		return r;
	}
	set_source(b, b->how->kernel);
	return b->how->modules
		       ? img_modules_dir_read(b->how->modules, &b->modules, &b->builtin, err)
		       : 0;
}

/* Kernel and modules of the image that is there, whose manifest is @old. */
static int from_old_image(struct build *b, const struct img_guest *old, struct rsm_error *err)
{
	_cleanup_close_ int dir = openat(b->parent, b->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int initrd = -1;
	_cleanup_free_ char *data = NULL;
	size_t len;
	int r;

	if (dir < 0)
		return rsm_fail_errno(err, errno, "open '%s'", b->how->dir);
	r = rsm_read_file_at(dir, IMG_KERNEL_FILE, IMG_KERNEL_MAX, &data, &len);
	if (r < 0)
		return rsm_fail_errno(err, r, "read the old kernel");
	initrd = openat(dir, IMG_INITRD_FILE, O_RDONLY | O_CLOEXEC);
	if (initrd < 0)
		return rsm_fail_errno(err, errno, "open the old initrd");
	b->kernel = (struct img_kernel){.data = rsm_steal_ptr(data),
					.len = len,
					.pvh = old->pvh,
					.mmio_cmdline = old->mmio_cmdline,
					.no_acpi = old->no_acpi};
	memcpy(b->kernel.version, old->kernel_version, sizeof(b->kernel.version));
	memcpy(b->guest.package, old->package, sizeof(b->guest.package));
	memcpy(b->guest.package_version, old->package_version, sizeof(b->guest.package_version));
	memcpy(b->guest.source, old->source, sizeof(b->guest.source));
	return img_initramfs_read_modules(initrd, &b->modules, &b->order, &b->n_order, err);
}

/* ---------------------------------------------------------------- modules */

static bool is_builtin(const struct build *b, const char *name)
{
	const char *p = b->builtin;
	char line[256], found[IMG_KO_NAME_MAX];
	size_t n;

	for (; p && *p; p += n + (p[n] == '\n')) {
		n = strcspn(p, "\n");
		if (n < sizeof(line)) {
			memcpy(line, p, n);
			line[n] = '\0';
			if (img_ko_name(line, found) && strcmp(found, name) == 0)
				return true;
		}
	}
	return false;
}

static int choose_modules(struct build *b, struct rsm_error *err)
{
	if (b->order || (!b->modules.n && !b->builtin))
		return 0;
	b->order = calloc(b->modules.n + 1, sizeof(*b->order));
	if (!b->order)
		return rsm_fail_errno(err, ENOMEM, "kernel modules");
	for (size_t i = 0; i < RSM_ARRAY_SIZE(wanted_modules); i++) {
		const char *name = wanted_modules[i].name, *when = wanted_modules[i].when;
		size_t from = b->n_order;
		int r;

		if (is_builtin(b, name) || (*when && !img_ko_find(&b->modules, name)))
			continue;
		r = img_ko_order(&b->modules, name, b->order, &b->n_order, err);
		for (; r == 0 && from < b->n_order; from++)
			r = rsm_format(b->modules.ko[b->order[from]].when, IMG_KO_WHEN_MAX, "%s",
				       when);
		if (r < 0) {
			(void)rsm_error_prefix(err, "kernel %s cannot run containers",
					       b->kernel.version);
			return r;
		}
	}
	for (size_t i = 0; i < b->n_order; i++) {
		const struct img_ko *ko = &b->modules.ko[b->order[i]];

		if (strcmp(ko->vermagic, b->kernel.version) != 0)
			return rsm_fail(err, EINVAL,
					"kernel module '%s' is for kernel '%s', the kernel is '%s'",
					ko->name, ko->vermagic, b->kernel.version);
	}
	return 0;
}

static int list_modules(struct build *b, struct rsm_error *err)
{
	struct img_guest *g = &b->guest;

	g->modules = calloc(b->n_order + 1, sizeof(*g->modules));
	for (size_t i = 0; g->modules && i < b->n_order; i++) {
		g->modules[i] = strdup(b->modules.ko[b->order[i]].name);
		if (!g->modules[i])
			break;
		g->n_modules++;
	}
	return g->n_modules == b->n_order && g->modules
		       ? 0
		       : rsm_fail_errno(err, ENOMEM, "kernel modules");
}

/* ---------------------------------------------------------------- writing it */

static int create_file(const struct build *b, const char *name, struct rsm_error *err)
{
	int fd = openat(b->tmp, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		return rsm_fail_errno(err, errno, "create '%s'", name);
	/* whatever the umask: an image may be read by everyone */
	(void)fchmod(fd, 0644);
	return fd;
}

static int finish_file(int fd, const char *name, struct img_file *ret, struct rsm_error *err)
{
	int r = img_sha256_fd(fd, ret->sha256, &ret->bytes);

	if (!r && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? rsm_fail_errno(err, r, "write '%s'", name) : 0;
}

static void set_build_time(struct img_guest *g)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	time_t now = epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(g->build_time, sizeof(g->build_time), "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int write_files(struct build *b, struct rsm_error *err)
{
	_cleanup_close_ int kernel = create_file(b, IMG_KERNEL_FILE, err);
	_cleanup_close_ int initrd = -1;
	int r;

	if (kernel < 0)
		return kernel;
	r = rsm_write_full(kernel, b->kernel.data, b->kernel.len);
	if (r < 0)
		return rsm_fail_errno(err, r, "write '" IMG_KERNEL_FILE "'");
	initrd = create_file(b, IMG_INITRD_FILE, err);
	if (initrd < 0)
		return initrd;
	r = img_initramfs_write(initrd, b->agent, b->agent_len, &b->modules, b->order, b->n_order,
				err);
	if (!r)
		r = finish_file(kernel, IMG_KERNEL_FILE, &b->guest.kernel, err);
	if (!r)
		r = finish_file(initrd, IMG_INITRD_FILE, &b->guest.initrd, err);
	if (!r)
		r = list_modules(b, err);
	if (r < 0)
		return r;
	memcpy(b->guest.kernel_version, b->kernel.version, sizeof(b->guest.kernel_version));
	b->guest.pvh = b->kernel.pvh;
	b->guest.mmio_cmdline = b->kernel.mmio_cmdline;
	b->guest.no_acpi = b->kernel.no_acpi;
	rsm_format(b->guest.runsm_version, sizeof(b->guest.runsm_version), "%s", PACKAGE_VERSION);
	set_build_time(&b->guest);
	return img_manifest_write(b->tmp, &b->guest, err);
}

/* ---------------------------------------------------------------- all of it */

/* Kernel and modules; @old is the intact image that is there, NULL if there is none. */
static int gather(struct build *b, const struct img_guest *old, struct rsm_error *err)
{
	const struct img_guest_build *how = b->how;
	bool given = how->kernel || how->deb;

	if (how->deb)
		return from_deb_file(b, err);
	if (how->kernel)
		return from_kernel_file(b, err);
	if (old && (how->initrd_only || (!given && !how->force)))
		return from_old_image(b, old, err);
	return from_download(b, err);
}

static int build(struct build *b, struct rsm_error *err)
{
	const struct img_guest_build *how = b->how;
	struct rsm_error why = RSM_ERROR_INIT;
	_cleanup_guest_ struct img_guest old = {0};
	bool intact, up_to_date;
	int r;

	r = read_agent(b, err);
	if (!r)
		r = open_parent(b, err);
	if (!r)
		r = check_target(b, err);
	if (r < 0)
		return r;
	intact = img_guest_load(how->dir, &old, &why) == 0 &&
		 img_guest_verify(how->dir, &old, &why) == 0;
	if (how->initrd_only && !intact)
		return rsm_fail(err, EINVAL, "no kernel to keep: %s", why.message);
	up_to_date = intact && strcmp(old.agent.sha256, b->guest.agent.sha256) == 0 &&
		     strcmp(old.runsm_version, PACKAGE_VERSION) == 0;
	if (up_to_date && !how->force && !how->deb && !how->kernel && !how->initrd_only) {
		b->guest = old;
		old = (struct img_guest){0};
		return 0;
	}

	remove_stale(b);
	r = make_tmp(b, err);
	if (!r)
		r = gather(b, intact ? &old : NULL, err);
	if (!r)
		r = choose_modules(b, err);
	if (r < 0)
		return r;
	say(b, "write the image");
	r = write_files(b, err);
	if (!r)
		r = put_in_place(b, err);
	return r < 0 ? r : 1;
}

int img_guest_build(const struct img_guest_build *how, struct img_guest *ret, struct rsm_error *err)
{
	struct build b = {.how = how, .parent = -1, .tmp = -1};
	int r = build(&b, err);

	if (b.tmp_name[0])
		(void)rsm_remove_tree_at(b.parent, b.tmp_name);
	rsm_close(&b.tmp);
	rsm_close(&b.parent);
	free(b.agent);
	free(b.builtin);
	free(b.order);
	img_kernel_free(&b.kernel);
	img_ko_set_free(&b.modules);
	if (r < 0) {
		img_guest_free(&b.guest);
		(void)rsm_error_prefix(err, "build guest image '%s'", how->dir);
		return r;
	}
	*ret = b.guest;
	return r;
}
