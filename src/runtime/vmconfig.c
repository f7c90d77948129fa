// SPDX-License-Identifier: Apache-2.0
#include "runtime/vmconfig.h"

#include "base/io.h"
#include "base/math.h"
#include "base/proc.h"
#include "runtime/device_filter.h"
#include "runtime/hooks.h"
#include "runtime/scratch.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <mntent.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#define DEFAULT_CPU_PERIOD 100000 /* µs; the kernel's */
#define MEMORY_GRANULE     (2ULL << 20)

/* protobuf-c wants mutable strings it never writes to. */
#define PB(s) ((char *)(s))

uint32_t vmconfig_vcpus(int64_t quota, uint64_t period, long online, unsigned set)
{
	uint64_t n = set ? set : 1;

	if (period == 0)
		period = DEFAULT_CPU_PERIOD;
	if (quota > 0)
		n = ((uint64_t)quota - 1) / period + 1;
	if (set && n > set)
		n = set;
	if (online > 0 && n > (uint64_t)online)
		n = (uint64_t)online;
	return (uint32_t)rsm_min(n, (uint64_t)VM_MAX_VCPUS);
}

uint64_t vmconfig_memory(uint64_t limit, uint64_t host)
{
	uint64_t bytes;

	if (limit == 0)
		return VM_DEFAULT_MEMORY;
	if (!rsm_align_up(rsm_max(limit, VM_MIN_MEMORY), MEMORY_GRANULE, &bytes))
		bytes = limit & ~(MEMORY_GRANULE - 1);
	if (host == 0)
		return bytes;
	host = rsm_max(host & ~(MEMORY_GRANULE - 1), VM_MIN_MEMORY);
	return rsm_min(bytes, host);
}

static unsigned count_cpus(const struct oci_cpus *cpus)
{
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(cpus->bits); i++)
		n += (unsigned)__builtin_popcount(cpus->bits[i]);
	return n;
}

static uint64_t host_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);

	return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

/* ---- mounts and exports */

static Runsm__Export *new_export(struct arena *a, Runsm__VmConfig *config, const char *path)
{
	Runsm__Export *e = arena_alloc(a, 1, sizeof(*e));

	if (!e)
		return NULL;
	runsm__export__init(e);
	e->path = PB(path);
	config->exports[config->n_exports++] = e;
	return e;
}

/* What can be shared: the guest sees files, not the host's drivers or sockets. */
static int check_source(size_t i, const char *path, mode_t mode, struct rsm_error *err)
{
	if (S_ISDIR(mode) || S_ISREG(mode) || S_ISFIFO(mode))
		return 0;
	return rsm_fail(err, EOPNOTSUPP,
			"mounts[%zu].source: '%s' is a %s, which cannot be given to a VM", i, path,
			S_ISSOCK(mode) ? "socket" : "device");
}

/* Is @path at or below @dir? Both are absolute. */
static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	while (len > 1 && dir[len - 1] == '/')
		len--;
	return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static bool is_cgroup_fs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 &&
	       (fs.f_type == CGROUP_SUPER_MAGIC || fs.f_type == CGROUP2_SUPER_MAGIC);
}

/*
 * The host's cgroups, for a container that runs systemd: what it wants is a hierarchy that it may
 * change, and its own processes are in the guest's. If that is mounted there anyway it becomes
 * writable, else it is mounted.
 */
static void add_cgroup_bind(const struct oci_spec *spec, size_t i, Runsm__Mount *m)
{
	const struct oci_mount *om = &spec->mounts[i], *above = NULL;

	for (size_t k = 0; k < i; k++)
		if (strcmp(spec->mounts[k].type, "cgroup2") == 0 &&
		    is_below(om->destination, spec->mounts[k].destination))
			above = &spec->mounts[k];
	if (!above) {
		m->type = PB("cgroup2");
		m->flags &= ~(uint64_t)(MS_BIND | MS_REC);
		m->data = PB("");
		return;
	}
	m->type = PB("remount");
	m->destination = PB(above->destination);
	m->flags = MS_BIND | (above->flags & ~(uint64_t)MS_RDONLY) | (om->flags & MS_RDONLY);
	m->propagation = 0;
}

static bool is_readonly(const struct oci_mount *m)
{
	return ((m->flags & MS_RDONLY) || (m->rec_set & MOUNT_ATTR_RDONLY)) &&
	       !(m->rec_clr & MOUNT_ATTR_RDONLY);
}

/* Where that cannot be found out it is no: then there is nothing below that could be written to. */
static bool has_mounts_below(const char *path)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	size_t len = strcmp(path, "/") == 0 ? 0 : strlen(path);
	bool found = false;

	for (struct mntent *m; mounts && !found && (m = getmntent(mounts)) != NULL;)
		found = strncmp(m->mnt_dir, path, len) == 0 && m->mnt_dir[len] == '/' &&
			m->mnt_dir[len + 1];
	if (mounts)
		(void)endmntent(mounts);
	return found;
}

/* ro, unlike rro, is said of one mount, whatever rbind takes along. */
static bool readonly_on_top(const struct oci_mount *om, const char *path)
{
	return (om->flags & MS_RDONLY) && (om->flags & MS_REC) &&
	       !(om->rec_set & MOUNT_ATTR_RDONLY) && has_mounts_below(path);
}

/* A node of the host for a device that the guest has as well: it is the guest's that is mounted. */
static bool is_guest_device(const struct stat *st)
{
	return (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) &&
	       oci_guest_device(st->st_mode & S_IFMT, major(st->st_rdev), minor(st->st_rdev));
}

static int add_device_bind(struct arena *a, const struct stat *st, Runsm__Mount *m)
{
	Runsm__Device *d = arena_alloc(a, 1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	runsm__device__init(d);
	d->type = st->st_mode & S_IFMT;
	d->major = major(st->st_rdev);
	d->minor = minor(st->st_rdev);
	d->mode = st->st_mode & 07777;
	m->type = PB("device");
	m->device = d;
	m->is_file = true;
	return 0;
}

static int add_bind(struct arena *a, const struct vm_request *req, size_t i, Runsm__Mount *m,
		    Runsm__VmConfig *config, struct rsm_error *err)
{
	const struct oci_mount *om = &req->spec->mounts[i];
	char given[PATH_MAX], path[PATH_MAX];
	Runsm__Export *e;
	struct stat st;
	int ret;

	ret = rsm_format(given, sizeof(given), "%s%s%s", om->source[0] == '/' ? "" : req->bundle,
			 om->source[0] == '/' ? "" : "/", om->source);
	if (ret < 0 || !realpath(given, path) || stat(path, &st) < 0)
		return rsm_fail_errno(err, ret < 0 ? ret : errno, "mounts[%zu].source: '%s'", i,
				      om->source);
	if (S_ISDIR(st.st_mode) && is_cgroup_fs(path)) {
		add_cgroup_bind(req->spec, i, m);
		return 0;
	}
	if (is_guest_device(&st))
		return add_device_bind(a, &st, m);
	ret = check_source(i, path, st.st_mode, err);
	if (ret < 0)
		return ret;
	e = new_export(a, config, arena_strdup(a, path));
	if (!e)
		return -ENOMEM;
	e->name = arena_printf(a, "m%zu", i);
	e->readonly = is_readonly(om);
	e->is_file = !S_ISDIR(st.st_mode);
	e->recursive = (om->flags & MS_REC) != 0;
	e->shared = true;
	e->top_only = e->readonly && readonly_on_top(om, path);
	/* All of that is one mount to the guest, so the host alone refuses what is not to be. */
	if (e->top_only)
		m->flags &= ~(uint64_t)MS_RDONLY;
	m->export = e->name;
	m->is_file = e->is_file;
	return 0;
}

/* The layers are directories of the host, so its kernel lays them over each other. */
static int add_overlay(struct arena *a, const struct vm_request *req, size_t i, Runsm__Mount *m,
		       Runsm__VmConfig *config)
{
	const struct oci_mount *om = &req->spec->mounts[i];
	Runsm__Export *e = new_export(a, config, req->bundle);

	if (!e)
		return -ENOMEM;
	e->name = arena_printf(a, "m%zu", i);
	e->overlay = PB(om->data);
	e->readonly = is_readonly(om);
	e->shared = true;
	m->type = PB("bind");
	m->export = e->name;
	return 0;
}

static int add_mounts(struct arena *a, const struct vm_request *req, Runsm__VmConfig *config,
		      Runsm__CreateContainerRequest *c, struct rsm_error *err)
{
	const struct oci_spec *spec = req->spec;

	c->mounts = arena_alloc(a, spec->n_mounts + 1, sizeof(*c->mounts)); /* and scratch space */
	if (!c->mounts)
		return -ENOMEM;
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct oci_mount *om = &spec->mounts[i];
		Runsm__Mount *m = arena_alloc(a, 1, sizeof(*m));
		int ret = 0;

		if (!m)
			return -ENOMEM;
		runsm__mount__init(m);
		m->destination = PB(om->destination);
		m->type = PB(om->type);
		m->source = PB(om->source);
		m->flags = om->flags;
		m->propagation = om->propagation;
		m->rec_set = om->rec_set;
		m->rec_clr = om->rec_clr;
		m->copy_up = om->copy_up;
		if (strcmp(om->type, "bind") == 0)
			ret = add_bind(a, req, i, m, config, err);
		else if (strcmp(om->type, "overlay") == 0)
			ret = add_overlay(a, req, i, m, config);
		else
			m->data = PB(om->data);
		if (ret < 0)
			return ret;
		c->mounts[c->n_mounts++] = m;
	}
	return 0;
}

static int add_scratch(struct arena *a, const struct vm_request *req, Runsm__VmConfig *config,
		       struct rsm_error *err)
{
	Runsm__CreateContainerRequest *c = config->container;
	struct scratch scratch;
	Runsm__Mount *m;
	int ret = scratch_parse(req->spec, a, &scratch, err);

	if (ret < 0 || !scratch.size)
		return ret;
	m = arena_alloc(a, 1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	runsm__mount__init(m);
	m->destination = scratch.path;
	m->type = PB("scratch");
	c->mounts[c->n_mounts++] = m;
	config->scratch_bytes = scratch.size;
	return 0;
}

/* ---- the rest of the container */

static bool add_devices(struct arena *a, const struct oci_linux *l,
			Runsm__CreateContainerRequest *c)
{
	c->devices = arena_alloc(a, l->n_devices, sizeof(*c->devices));
	for (size_t i = 0; c->devices && i < l->n_devices; i++) {
		const struct oci_device *od = &l->devices[i];
		Runsm__Device *d = arena_alloc(a, 1, sizeof(*d));

		if (!d)
			return false;
		runsm__device__init(d);
		d->path = PB(od->path);
		d->type = od->type;
		d->major = od->major;
		d->minor = od->minor;
		d->mode = od->mode;
		d->uid = od->uid;
		d->gid = od->gid;
		d->optional = od->optional;
		c->devices[c->n_devices++] = d;
	}
	return c->devices != NULL;
}

static bool add_sysctls(struct arena *a, const struct oci_linux *l,
			Runsm__CreateContainerRequest *c)
{
	c->sysctls = arena_alloc(a, l->n_sysctl, sizeof(*c->sysctls));
	for (size_t i = 0; c->sysctls && i < l->n_sysctl; i++) {
		Runsm__Sysctl *s = arena_alloc(a, 1, sizeof(*s));

		if (!s)
			return false;
		runsm__sysctl__init(s);
		s->key = PB(l->sysctl[i].key);
		s->value = PB(l->sysctl[i].value);
		c->sysctls[c->n_sysctls++] = s;
	}
	return c->sysctls != NULL;
}

static Runsm__IdMapping **mappings(struct arena *a, const struct oci_idmap *map, size_t n)
{
	Runsm__IdMapping **messages = arena_alloc(a, n, sizeof(Runsm__IdMapping *));
	Runsm__IdMapping *m = arena_alloc(a, n, sizeof(*m));

	if (!messages || !m)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		runsm__id_mapping__init(&m[i]);
		m[i].container = map[i].container;
		m[i].host = map[i].host;
		m[i].size = map[i].size;
		messages[i] = &m[i];
	}
	return messages;
}

static Runsm__TimeOffset *time_offset(struct arena *a, const struct oci_offset *offset)
{
	Runsm__TimeOffset *m = arena_alloc(a, 1, sizeof(*m));

	if (!m)
		return NULL;
	runsm__time_offset__init(m);
	m->secs = offset->secs;
	m->nanosecs = offset->nanosecs;
	return m;
}

static bool add_namespaces(struct arena *a, const struct oci_linux *l,
			   Runsm__CreateContainerRequest *c)
{
	c->namespaces = l->namespaces;
	c->n_uid_mappings = l->n_uid_map;
	c->uid_mappings = mappings(a, l->uid_map, l->n_uid_map);
	c->n_gid_mappings = l->n_gid_map;
	c->gid_mappings = mappings(a, l->gid_map, l->n_gid_map);
	c->monotonic = time_offset(a, &l->monotonic);
	c->boottime = time_offset(a, &l->boottime);
	return c->uid_mappings && c->gid_mappings && c->monotonic && c->boottime;
}

/* Those that run inside, where init is process 1. */
static bool add_hooks(struct arena *a, const struct vm_request *req,
		      Runsm__CreateContainerRequest *c)
{
	const struct oci_spec *spec = req->spec;
	const struct oci_hook_list *list = &spec->hooks[OCI_START_CONTAINER];
	_cleanup_free_ char *state = NULL;

	if (list->n == 0)
		return true;
	state = hooks_state(spec->oci_version, req->id, req->bundle, oci_spec_annotations(spec),
			    CTR_CREATED, 1);
	c->hook_state = state ? arena_strdup(a, state) : NULL;
	c->start_hooks = arena_alloc(a, list->n, sizeof(*c->start_hooks));
	for (size_t i = 0; c->start_hooks && i < list->n; i++) {
		const struct oci_hook *oh = &list->v[i];
		Runsm__Hook *h = arena_alloc(a, 1, sizeof(*h));

		if (!h)
			return false;
		runsm__hook__init(h);
		h->path = PB(oh->path);
		h->n_args = oh->args.n;
		h->args = (char **)oh->args.v;
		h->n_env = oh->env.n;
		h->env = (char **)oh->env.v;
		h->has_env = oh->has_env;
		h->timeout = oh->timeout;
		c->start_hooks[c->n_start_hooks++] = h;
	}
	return c->hook_state && c->start_hooks;
}

/* The caller who is not root has no device controller, and runc gives him none. */
static bool add_device_rules(struct arena *a, const struct oci_linux *l,
			     Runsm__CreateContainerRequest *c)
{
	void *program;

	if (rsm_rootless())
		return true;
	if (device_filter_new(a, l->device_rules, l->n_device_rules, &program,
			      &c->device_filter.len) < 0)
		return false;
	c->device_filter.data = program;
	return true;
}

static Runsm__CreateContainerRequest *container_message(struct arena *a,
							const struct vm_request *req)
{
	const struct oci_spec *spec = req->spec;
	const struct oci_linux *l = &spec->linux_;
	Runsm__CreateContainerRequest *c = arena_alloc(a, 1, sizeof(*c));

	if (!c)
		return NULL;
	runsm__create_container_request__init(c);
	c->id = PB(req->id);
	c->root_export = PB("root");
	c->root_readonly = spec->root_readonly;
	c->hostname = PB(spec->hostname ? spec->hostname : "");
	c->domainname = PB(spec->domainname ? spec->domainname : "");
	c->n_masked_paths = l->masked_paths.n;
	c->masked_paths = (char **)l->masked_paths.v;
	c->n_readonly_paths = l->readonly_paths.n;
	c->readonly_paths = (char **)l->readonly_paths.v;
	c->rootfs_propagation = l->rootfs_propagation;
	c->pids_limit = l->pids_limit;
	c->memory_limit = l->memory_limit < VM_MIN_MEMORY ? l->memory_limit : 0;
	c->process = vmconfig_process(a, &spec->process, l, req->console_socket, req->extra_fds);
	return c->process && add_namespaces(a, l, c) && add_devices(a, l, c) &&
			       add_device_rules(a, l, c) &&
			       add_sysctls(a, l, c) && add_hooks(a, req, c)
		       ? c
		       : NULL;
}

/* What is joined must be there, and be what it is said to be. */
static int add_network(const struct oci_linux *l, Runsm__VmConfig *config, struct rsm_error *err)
{
	_cleanup_close_ int fd = -1;

	if (!l->network_path)
		return 0;
	fd = open(l->network_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return rsm_fail_errno(err, errno, "linux.namespaces: open '%s'", l->network_path);
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return rsm_fail(err, EINVAL, "linux.namespaces: '%s' is not a network namespace",
				l->network_path);
	config->network_namespace = PB(l->network_path);
	return 0;
}

/* The tap is looked for when the hooks have run, which may make it. */
static int add_tap(const struct vm_request *req, Runsm__VmConfig *config, struct rsm_error *err)
{
	const struct rsm_json *v = rsm_json_get(oci_spec_annotations(req->spec), TAP_ANNOTATION);
	const char *name;

	if (!v || rsm_json_type(v) != RSM_JSON_STRING)
		return 0; /* of another type: refused by the parser */
	name = rsm_json_string(v);
	if (!*name)
		return rsm_fail(err, EINVAL,
				"annotations." TAP_ANNOTATION ": '' is no name of a tap device");
	if (req->accel != ACCEL_KVM)
		return rsm_fail(err, EOPNOTSUPP,
				"annotations." TAP_ANNOTATION
				": '%.64s': the %s machine has no network interfaces, only kvm has",
				name, accel_name(req->accel));
	config->tap = PB(name);
	config->container->nic = true;
	return 0;
}

static int build(struct arena *a, const struct vm_request *req, Runsm__VmConfig *config,
		 struct rsm_error *err)
{
	const struct settings *s = req->settings;
	const struct oci_spec *spec = req->spec;
	Runsm__Export *root;
	int r;

	config->exports = arena_alloc(a, spec->n_mounts + 1, sizeof(*config->exports));
	config->container = container_message(a, req);
	if (!config->exports || !config->container)
		return -ENOMEM;
	root = new_export(a, config, req->rootfs);
	if (!root)
		return -ENOMEM;
	root->name = PB("root");
	root->readonly = spec->root_readonly;
	root->recursive = true;
	config->id = PB(req->id);
	config->accel = PB(accel_name(req->accel));
	config->kernel = arena_printf(a, "%s/kernel", s->guest_dir);
	config->initrd = arena_printf(a, "%s/initrd", s->guest_dir);
	if (spec->linux_.memory_limit > VM_MAX_MEMORY)
		return rsm_fail(err, EINVAL,
				"linux.resources.memory.limit: a VM cannot have %llu MiB, %llu are "
				"the most",
				(unsigned long long)spec->linux_.memory_limit >> 20,
				VM_MAX_MEMORY >> 20);
	config->cmdline = PB(req->no_acpi ? "acpi=off" : "");
	config->memory_bytes = vmconfig_memory(spec->linux_.memory_limit, host_memory());
	config->vcpus = vmconfig_vcpus(spec->linux_.cpu_quota, spec->linux_.cpu_period,
				       sysconf(_SC_NPROCESSORS_ONLN),
				       count_cpus(&spec->linux_.resources.cpu_set));
	config->qemu = PB(req->qemu);
	config->boot_timeout_ms = s->boot_timeout_ms;
	config->extra_fds = req->extra_fds;
	config->has_console_socket = req->console_socket;
	config->fuse_trace = PB(s->fuse_trace);
	config->await_hooks = hooks_any_at_create(spec);
	r = add_network(&spec->linux_, config, err);
	if (r == 0)
		r = add_tap(req, config, err);
	if (r == 0)
		r = add_mounts(a, req, config, config->container, err);
	return r < 0 ? r : add_scratch(a, req, config, err);
}

int vmconfig_new(struct arena *a, const struct vm_request *req, Runsm__VmConfig **ret,
		 struct rsm_error *err)
{
	Runsm__VmConfig *config = arena_alloc(a, 1, sizeof(*config));
	int r;

	if (!config)
		return rsm_fail(err, ENOMEM, "out of memory");
	runsm__vm_config__init(config);
	r = build(a, req, config, err);
	if (r == -ENOMEM || a->failed)
		return rsm_fail(err, ENOMEM, "out of memory");
	if (r == 0)
		*ret = config;
	return r;
}
