// SPDX-License-Identifier: Apache-2.0
#include "vmm/probe.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/math.h"
#include "vmm/probe_vm.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#define PROBE_DEVICE   "/dev/kvm"
/* CPU time, so that a busy machine is not taken for a useless one: real ones need 1 to 25 ms,
 * emulated ones, where KVM is usable too, up to 200. */
#define PROBE_LIMIT_MS 400
#define PROBE_WALL_S   5 /* for what hangs without using any */
#define PROBE_BOOT_ID  "/proc/sys/kernel/random/boot_id"
#define PROBE_CACHE    "runsm-kvm-probe"
#define PROBE_KEY_MAX  128

/* What our machine cannot do without. */
static const struct {
	int cap;
	const char *name;
} needed[] = {
	{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
	{KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP"},
	{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
	{KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD"},
	{KVM_CAP_IRQFD, "KVM_CAP_IRQFD"},
	{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
};

const char *kvm_probe_state_name(enum kvm_probe_state state)
{
	static const char *const names[] = {
		[KVM_PROBE_ABSENT] = "absent", [KVM_PROBE_NO_PERMISSION] = "no permission",
		[KVM_PROBE_BUSY] = "busy",     [KVM_PROBE_UNUSABLE] = "unusable",
		[KVM_PROBE_USABLE] = "usable",
	};

	return (size_t)state < RSM_ARRAY_SIZE(names) ? names[state] : "unknown";
}

const char *kvm_probe_advice(enum kvm_probe_state state)
{
	static const char *const advice[] = {
		[KVM_PROBE_ABSENT] =
			"load kvm_intel or kvm_amd; in a cloud VM, turn nested virtualisation on",
		[KVM_PROBE_NO_PERMISSION] = "give this user access to /dev/kvm (group kvm)",
		[KVM_PROBE_BUSY] = "stop the other hypervisor",
		[KVM_PROBE_UNUSABLE] =
			"run where the CPU's virtualisation is really there: on bare metal, or "
			"with nested virtualisation",
		[KVM_PROBE_USABLE] = "",
	};

	return (size_t)state < RSM_ARRAY_SIZE(advice) ? advice[state] : "";
}

enum kvm_probe_state kvm_probe_state_of(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return KVM_PROBE_NO_PERMISSION;
	case EBUSY:
		return KVM_PROBE_BUSY;
	default:
		return KVM_PROBE_ABSENT;
	}
}

static void verdict(struct kvm_probe_result *ret, enum kvm_probe_state state, const char *what,
		    int error)
{
	ret->state = state;
	snprintf(ret->reason, sizeof(ret->reason), "%s: %s", what, strerror(error));
}

/* Open the device and ask for what needs no guest. Return: the fd, or -1 with a verdict */
static int open_device(struct kvm_probe_result *ret)
{
	_cleanup_close_ int kvm = open(PROBE_DEVICE, O_RDWR | O_CLOEXEC);
	int version;

	if (kvm < 0) {
		verdict(ret, kvm_probe_state_of(errno), PROBE_DEVICE, errno);
		return -1;
	}
	ret->state = KVM_PROBE_UNUSABLE;
	version = ioctl(kvm, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		snprintf(ret->reason, sizeof(ret->reason),
			 PROBE_DEVICE " speaks version %d of KVM's API, not %d", version,
			 KVM_API_VERSION);
		return -1;
	}
	for (size_t i = 0; i < RSM_ARRAY_SIZE(needed); i++) {
		if (ioctl(kvm, KVM_CHECK_EXTENSION, needed[i].cap) > 0)
			continue;
		snprintf(ret->reason, sizeof(ret->reason), "this kernel's KVM lacks %s",
			 needed[i].name);
		return -1;
	}
	return rsm_steal_fd(kvm);
}

/* Run the guest until it ends or a timer's signal ends us, whatever state KVM_RUN is in. */
static void child(int kvm, struct probe_run *run)
{
	struct itimerval cpu = {.it_value.tv_usec = PROBE_LIMIT_MS * 1000};
	struct itimerval wall = {.it_value.tv_sec = PROBE_WALL_S};
	sigset_t ends;

	signal(SIGALRM, SIG_DFL);
	signal(SIGPROF, SIG_DFL);
	sigemptyset(&ends);
	sigaddset(&ends, SIGALRM);
	sigaddset(&ends, SIGPROF);
	sigprocmask(SIG_UNBLOCK, &ends, NULL);
	setitimer(ITIMER_PROF, &cpu, NULL);
	setitimer(ITIMER_REAL, &wall, NULL);
	probe_vm_run(kvm, run);
	__atomic_store_n(&run->done, true, __ATOMIC_RELEASE);
}

/*
 * The child that runs the guest is not ours: its parent ends at once, so that nobody waits for KVM
 * to take the young VM apart (15 ms). Its end of the pipe closes when it has finished or was
 * killed. The one between shares our memory and does nothing but to fork, so that page tables are
 * copied once only.
 */
static int start_child(int kvm, struct probe_run *run, int *ret_fd)
{
	int fds[2], status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = vfork();
	if (pid == 0) {
		/* not fork(), which would take locks of a library that is in use */
		long other = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);

		if (other == 0)
			child(kvm, run);
		_exit(other < 0 ? errno : 0);
	}
	close(fds[1]);
	*ret_fd = fds[0];
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

/* Wait for the child. @ret_certain: not only true of this moment */
static int finish_child(int fd, const struct probe_run *run, struct kvm_probe_result *ret,
			bool *ret_certain)
{
	bool done;
	char none;

	rsm_read_full(fd, &none, 1);
	done = __atomic_load_n(&run->done, __ATOMIC_ACQUIRE);
	probe_judge(run, !done, ret);
	/* A busy machine looks slow and a full one fails: only the rest is worth remembering. */
	*ret_certain = done && !run->what;
	if (run->what && (run->error == ENOMEM || run->error == EMFILE || run->error == ENFILE ||
			  run->error == EAGAIN))
		return -run->error;
	return 0;
}

/* Which boot and which device a remembered verdict is about: a reloaded module makes a new node. */
static int make_key(int kvm, char *key, size_t size)
{
	_cleanup_free_ char *boot_id = NULL;
	struct stat st;
	int r = rsm_read_file_at(AT_FDCWD, PROBE_BOOT_ID, 64, &boot_id, NULL);

	if (r < 0)
		return r;
	boot_id[strcspn(boot_id, "\n")] = '\0';
	if (fstat(kvm, &st) < 0)
		return -errno;
	return rsm_format(key, size, "%s %llx %lld.%09ld", boot_id, (unsigned long long)st.st_rdev,
			  (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

/* A directory in which nobody but root and us can put a file, or -1 */
static int open_cache_dir(void)
{
	const char *path = geteuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR");
	_cleanup_close_ int dir = -1;
	struct stat st;

	dir = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (dir < 0 || fstat(dir, &st) < 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) ||
	    (st.st_uid != 0 && st.st_uid != geteuid()))
		return -1;
	return rsm_steal_fd(dir);
}

/* Run the guest, remember what it showed. @key: of the cache, made while the guest runs */
static int run_probe(int kvm, int dir, char *key, struct kvm_probe_result *ret)
{
	_cleanup_close_ int fd = -1;
	struct probe_run *run;
	bool certain = false;
	int r;

	run = mmap(NULL, sizeof(*run), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run == MAP_FAILED)
		return -errno;
	r = start_child(kvm, run, &fd);
	if (r == 0 && dir >= 0 && !*key && make_key(kvm, key, PROBE_KEY_MAX) < 0)
		*key = '\0';
	if (r == 0)
		r = finish_child(fd, run, ret, &certain);
	if (r == 0 && certain && dir >= 0 && *key)
		probe_cache_store(dir, PROBE_CACHE, key, ret);
	munmap(run, sizeof(*run));
	return r;
}

static int probe(bool use_cache, struct kvm_probe_result *ret)
{
	_cleanup_close_ int kvm = -1, dir = -1;
	char key[PROBE_KEY_MAX] = "";

	*ret = (struct kvm_probe_result){0};
	kvm = open_device(ret);
	if (kvm < 0)
		return 0;
	dir = open_cache_dir();
	if (use_cache && dir >= 0 && faccessat(dir, PROBE_CACHE, F_OK, 0) == 0 &&
	    make_key(kvm, key, sizeof(key)) == 0 &&
	    probe_cache_load(dir, PROBE_CACHE, key, ret) == 0)
		return 0;
	return run_probe(kvm, dir, key, ret);
}

int kvm_probe(struct kvm_probe_result *ret)
{
	return probe(true, ret);
}

int kvm_probe_again(struct kvm_probe_result *ret)
{
	return probe(false, ret);
}
