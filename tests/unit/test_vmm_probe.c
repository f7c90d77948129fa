// SPDX-License-Identifier: Apache-2.0
#include "vmm/probe.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/loop.h"
#include "cmocka_all.h"
#include "vmm/probe_guest.h"
#include "vmm/probe_vm.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/stat.h>

#define KEY "boot device"

struct dir {
	char path[64];
	int fd;
};

static int make_dir(void **state)
{
	static struct dir d;

	strcpy(d.path, "/tmp/runsm-test-probe.XXXXXX");
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

static const struct kvm_probe_result unusable = {
	.state = KVM_PROBE_UNUSABLE,
	.reason = "a guest kernel cannot run",
	.ps_per_insn = 812000,
};

static void verdict_is_remembered(void **state)
{
	struct dir *d = *state;
	struct kvm_probe_result r = {0};

	assert_int_equal(probe_cache_load(d->fd, "f", KEY, &r), -ENOENT);
	probe_cache_store(d->fd, "f", KEY, &unusable);
	assert_int_equal(probe_cache_load(d->fd, "f", KEY, &r), 0);
	assert_int_equal(r.state, KVM_PROBE_UNUSABLE);
	assert_string_equal(r.reason, unusable.reason);
	assert_int_equal(r.ps_per_insn, unusable.ps_per_insn);
	assert_true(r.cached);
}

static void verdict_of_another_boot_is_forgotten(void **state)
{
	struct dir *d = *state;
	struct kvm_probe_result r = {0};

	probe_cache_store(d->fd, "f", KEY, &unusable);
	assert_int_equal(probe_cache_load(d->fd, "f", KEY "2", &r), -ENOENT);
}

static void file_that_others_may_write_is_not_believed(void **state)
{
	struct dir *d = *state;
	struct kvm_probe_result r = {0};

	probe_cache_store(d->fd, "f", KEY, &unusable);
	assert_int_equal(fchmodat(d->fd, "f", 0666, 0), 0);
	assert_int_equal(probe_cache_load(d->fd, "f", KEY, &r), -ENOENT);
	assert_int_equal(fchmodat(d->fd, "f", 0644, 0), 0);
	assert_int_equal(symlinkat("f", d->fd, "link"), 0);
	assert_int_equal(probe_cache_load(d->fd, "link", KEY, &r), -ENOENT);
	if (geteuid() == 0) {
		assert_int_equal(fchownat(d->fd, "f", 1234, 1234, 0), 0);
		assert_int_equal(probe_cache_load(d->fd, "f", KEY, &r), -ENOENT);
	}
}

static void every_truncation_of_the_file_is_no_file(void **state)
{
	struct dir *d = *state;
	struct kvm_probe_result r = {0};
	_cleanup_free_ char *text = NULL;
	size_t len;

	probe_cache_store(d->fd, "f", KEY, &unusable);
	assert_int_equal(rsm_read_file_at(d->fd, "f", 512, &text, &len), 0);
	for (size_t n = 0; n < len; n++) {
		assert_int_equal(rsm_write_file_atomic_at(d->fd, "t", text, n, 0644), 0);
		assert_int_equal(probe_cache_load(d->fd, "t", KEY, &r), -ENOENT);
	}
	assert_int_equal(rsm_write_file_atomic_at(d->fd, "t", text, len, 0644), 0);
	assert_int_equal(probe_cache_load(d->fd, "t", KEY, &r), 0);
}

static void judging_names_what_failed(void **state)
{
	static const struct {
		struct probe_run run;
		bool killed;
		enum kvm_probe_state state;
		const char *part;
	} cases[] = {
		{{.step = PROBE_STEP_DONE, .best_ns = 1000}, false, KVM_PROBE_USABLE, ""},
		{{.step = PROBE_STEP_DONE, .best_ns = 10000000},
		 false,
		 KVM_PROBE_UNUSABLE,
		 "interprets guest code"},
		{{.step = PROBE_STEP_CMPXCHG16B,
		  .best_ns = 1000,
		  .exit_reason = KVM_EXIT_INTERNAL_ERROR},
		 false,
		 KVM_PROBE_UNUSABLE,
		 "cmpxchg16b (KVM cannot emulate it)"},
		{{.step = PROBE_STEP_INT3, .exit_reason = KVM_EXIT_SHUTDOWN},
		 false,
		 KVM_PROBE_UNUSABLE,
		 "int3 (triple fault)"},
		{{.step = PROBE_STEP_INT3, .exit_reason = KVM_EXIT_IO},
		 false,
		 KVM_PROBE_UNUSABLE,
		 "int3 (wrong result)"},
		{{.step = PROBE_STEP_LOOP}, true, KVM_PROBE_UNUSABLE, "time is up at a plain loop"},
		{{.what = "KVM_CREATE_VM", .error = EBUSY}, false, KVM_PROBE_BUSY, "KVM_CREATE_VM"},
		{{.what = "KVM_CREATE_VM", .error = EPERM},
		 false,
		 KVM_PROBE_NO_PERMISSION,
		 "KVM_CREATE_VM"},
		{{.what = "KVM_CREATE_VM", .error = ENOMEM},
		 false,
		 KVM_PROBE_UNUSABLE,
		 "Cannot allocate"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kvm_probe_result r = {0};

		probe_judge(&cases[i].run, cases[i].killed, &r);
		assert_int_equal(r.state, cases[i].state);
		assert_non_null(strstr(r.reason, cases[i].part));
		assert_int_equal(r.state == KVM_PROBE_USABLE, r.reason[0] == '\0');
	}
}

static void probing_this_machine_gives_a_verdict_with_a_reason(void **state)
{
	struct kvm_probe_result r;
	uint64_t start = rsm_now_ns();

	assert_int_equal(kvm_probe_again(&r), 0);
	print_message("# kvm: %s%s%s (%llu ps per instruction, probed in %llu us)\n",
		      kvm_probe_state_name(r.state), r.reason[0] ? ": " : "", r.reason,
		      (unsigned long long)r.ps_per_insn,
		      (unsigned long long)(rsm_now_ns() - start) / 1000);
	assert_int_equal(r.state == KVM_PROBE_USABLE, r.reason[0] == '\0');
	assert_false(r.cached);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(verdict_is_remembered, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(verdict_of_another_boot_is_forgotten, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(file_that_others_may_write_is_not_believed,
						make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(every_truncation_of_the_file_is_no_file, make_dir,
						remove_dir),
		cmocka_unit_test(judging_names_what_failed),
		cmocka_unit_test(probing_this_machine_gives_a_verdict_with_a_reason),
	};

	return cmocka_run_group_tests_name("vmm/probe", tests, NULL, NULL);
}
