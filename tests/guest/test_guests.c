// SPDX-License-Identifier: Apache-2.0
/* What the VMM does with guests that do the unusual: it stops with the right cause, or goes on. */
#include "base/log.h"
#include "base/loop.h"
#include "../unit/cmocka_all.h"
#include "host.h"
#include "protocol.h"
#include "vmm/jail.h"
#include "vmm/vcpu.h"

#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LONG_MS 5000

static int need_kvm(void **state)
{
	host_need_kvm();
	return 0;
}

/* Run @name to its end and expect @why. */
static void run_to(struct host *h, const char *name, unsigned vcpus, enum kvm_end_why why)
{
	const struct kvm_end *end;

	host_init(h, name, vcpus, true);
	end = host_run(h, LONG_MS);
	assert_non_null(end);
	if (end->why != why)
		fail_msg("%s: %s instead of %s\n%s", name, kvm_end_name(end->why),
			 kvm_end_name(why), end->detail);
}

static void guest_boots_by_the_pvh_entry(void **state)
{
	struct host h;

	run_to(&h, "hello", 1, KVM_END_POWEROFF);
	assert_int_equal(h.nreports, 1);
	assert_int_equal(h.reports[0], 42);
	host_fini(&h);
}

static void guest_boots_by_the_64_bit_entry(void **state)
{
	const struct kvm_end *end;
	struct host h;

	host_init(&h, "hello", 1, false);
	end = host_run(&h, LONG_MS);
	assert_non_null(end);
	assert_int_equal(end->why, KVM_END_POWEROFF);
	assert_int_equal(h.reports[0], 42);
	host_fini(&h);
}

static void triple_fault_ends_the_vm_with_the_vcpu_state(void **state)
{
	const struct kvm_end *end;
	struct host h;

	host_init(&h, "triple_fault", 1, true);
	end = host_run(&h, LONG_MS);
	assert_non_null(end);
	assert_int_equal(end->why, KVM_END_TRIPLE_FAULT);
	assert_non_null(strstr(end->detail, "rip "));
	assert_non_null(strstr(end->detail, "cr3 "));
	host_fini(&h);
}

static void instruction_kvm_lacks_ends_the_vm_or_works(void **state)
{
	const struct kvm_end *end;
	struct host h;

	host_init(&h, "unemulated", 1, true);
	end = host_run(&h, LONG_MS);
	assert_non_null(end);
	if (end->why == KVM_END_POWEROFF) { /* a CPU that has it */
		assert_int_equal(h.nreports, 2);
	} else {
		assert_int_equal(end->why, KVM_END_EMULATION);
		assert_non_null(strstr(end->detail, "code f0 48 0f c7")); /* lock cmpxchg16b */
		assert_int_equal(h.nreports, 1);
	}
	host_fini(&h);
}

static void reset_ends_the_vm(void **state)
{
	struct host h;

	run_to(&h, "reset", 1, KVM_END_RESET);
	assert_int_equal(h.nreports, 1);
	host_fini(&h);
}

static void vms_can_be_made_and_reset_over_and_over(void **state)
{
	for (int i = 0; i < 10; i++) {
		struct host h;

		run_to(&h, "reset", 2, KVM_END_RESET);
		host_fini(&h);
	}
}

/* For guests that never end: running, then stopped within @ms. */
static void stop_in_time(const char *name, unsigned vcpus)
{
	struct host h;
	uint64_t start;

	host_init(&h, name, vcpus, true);
	assert_null(host_run(&h, 20));
	start = rsm_now_ns();
	kvm_vm_stop(h.vm);
	assert_true(rsm_now_ns() - start < 1000000000);
	assert_non_null(host_wait(&h, LONG_MS));
	assert_int_equal(h.end->why, KVM_END_STOPPED);
	host_fini(&h);
}

static void vcpu_that_never_leaves_is_stopped(void **state)
{
	stop_in_time("spin", 1);
}

static void vcpu_that_leaves_all_the_time_is_stopped(void **state)
{
	stop_in_time("exits", 1);
}

static void vcpu_that_halts_for_ever_is_stopped(void **state)
{
	stop_in_time("halt", 1);
}

static void vcpus_that_never_started_are_stopped(void **state)
{
	stop_in_time("spin", 4);
}

static void second_vcpu_starts_by_init_and_sipi(void **state)
{
	struct host h;

	run_to(&h, "smp", 2, KVM_END_POWEROFF);
	assert_int_equal(h.reports[0], 1);
	host_fini(&h);
}

static void power_off_takes_a_looping_vcpu_along(void **state)
{
	struct host h;

	run_to(&h, "smp_spin", 2, KVM_END_POWEROFF);
	host_fini(&h);
}

static void pause_stops_the_guest_and_resume_goes_on(void **state)
{
	struct host h;
	unsigned long before, after;
	char text[1024];

	host_init(&h, "exits", 1, true);
	assert_null(host_run(&h, 20));
	for (int i = 0; i < 20; i++) {
		kvm_vm_pause(h.vm);
		before = __atomic_load_n(&h.syncs, __ATOMIC_RELAXED);
		usleep(2000);
		after = __atomic_load_n(&h.syncs, __ATOMIC_RELAXED);
		assert_int_equal(before, after);
		vcpu_describe(kvm_vm_vcpu(h.vm, 0), text, sizeof(text));
		assert_non_null(strstr(text, "rip "));
		kvm_vm_resume(h.vm);
		for (int ms = 0; ms < LONG_MS; ms++) {
			assert_null(host_wait(&h, 1));
			after = __atomic_load_n(&h.syncs, __ATOMIC_RELAXED);
			if (after > before)
				break;
		}
		assert_true(after > before);
	}
	host_fini(&h);
}

static void paused_vm_can_be_freed(void **state)
{
	struct host h;

	host_init(&h, "spin", 1, true);
	assert_null(host_run(&h, 10));
	kvm_vm_pause(h.vm);
	host_fini(&h);
}

static void holes_read_as_ones_and_swallow_writes(void **state)
{
	struct host h;

	run_to(&h, "hole", 1, KVM_END_POWEROFF);
	assert_int_equal(h.nreports, 6);
	assert_int_equal(h.reports[0], 0xffffffff);
	assert_int_equal(h.reports[1], 0xffffffff);
	assert_int_equal(h.reports[2], 0xff);
	assert_int_equal(h.reports[3], 0xffffffff);
	assert_int_equal(h.reports[4], 0xffffffff);
	assert_int_equal(h.reports[5], 0xffffffff);
	host_fini(&h);
}

static void readonly_memory_keeps_its_contents(void **state)
{
	struct host h;

	run_to(&h, "readonly", 1, KVM_END_POWEROFF);
	assert_int_equal(h.reports[0], GUEST_READONLY_WORD);
	assert_int_equal(h.reports[1], GUEST_READONLY_WORD);
	assert_int_equal(*(uint32_t *)h.readonly, GUEST_READONLY_WORD);
	host_fini(&h);
}

static void string_reads_of_a_hole_fill_with_ones(void **state)
{
	struct host h;

	run_to(&h, "string_io", 1, KVM_END_POWEROFF);
	assert_int_equal(h.reports[0], 0xff);
	assert_int_equal(h.reports[1], 0xff);
	host_fini(&h);
}

static void serial_output_comes_out_in_lines(void **state)
{
	char text[64];
	struct host h;

	run_to(&h, "serial", 1, KVM_END_POWEROFF);
	host_console(&h, text, sizeof(text));
	assert_string_equal(text, "first line\nsecond");
	host_fini(&h);
}

static void impossible_sizes_are_refused_by_name(void **state)
{
	static const struct {
		struct kvm_vm_config config;
		const char *part;
	} cases[] = {
		{{.memory = GUEST_RAM, .vcpus = 0}, "0 vCPUs"},
		{{.memory = GUEST_RAM, .vcpus = 100000}, "100000 vCPUs"},
		{{.memory = 4096, .vcpus = 1}, "guest memory"},
		{{.memory = GUEST_RAM + 1, .vcpus = 1}, "guest memory"},
		{{.memory = 1ULL << 60, .vcpus = 1}, "guest memory"},
		{{.memory = ~0ULL << 12, .vcpus = 1}, "guest memory"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rsm_error err = RSM_ERROR_INIT;
		struct kvm_vm *vm;

		assert_true(kvm_vm_new(&cases[i].config, &vm, &err) < 0);
		if (!strstr(err.message, cases[i].part))
			fail_msg("case %zu: %s", i, err.message);
	}
}

#define RUNNING     0x0f
#define NEEDS_RESET 0x40
#define RNG_BYTES   64

/* What breaks the rules fails the device, and a reset makes it good again. */
static void offence_fails_the_device_until_its_reset(void **state)
{
	static const char *const offences[] = {
		"ring_loop",
		"ring_next",
		"ring_head",
		"ring_index",
		"ring_index_back",
		"ring_buffer_behind",
		"ring_buffer_wraps",
		"ring_buffer_huge",
		"ring_buffer_mmio",
		"ring_buffer_readonly",
		"ring_indirect_length",
		"ring_indirect_nested",
		"ring_indirect_loop",
		"queue_outside",
		"queue_in_hole",
		"queue_wraps",
	};

	rsm_log_to(-1, RSM_LOG_TEXT, false); /* the faults it is all about */
	for (size_t i = 0; i < sizeof(offences) / sizeof(offences[0]); i++) {
		struct host h;

		run_to(&h, offences[i], 1, KVM_END_POWEROFF);
		if (h.nreports != 3 || !(h.reports[0] & NEEDS_RESET) || h.reports[1] != RUNNING ||
		    h.reports[2] != RNG_BYTES)
			fail_msg("%s: %u reports: status 0x%x, then 0x%x with %u bytes",
				 offences[i], h.nreports, h.reports[0], h.reports[1], h.reports[2]);
		host_fini(&h);
	}
}

/* Of devices of every kind, on whichever thread they are served. */
static void malformed_ring_fails_that_device_only(void **state)
{
	static const struct {
		const char *name;
		uint32_t answer; /* to a good request after the reset */
	} cases[] = {{"blk_ring", GUEST_BLK_ID_BYTES + 1}, {"net_ring", 1}};

	rsm_log_to(-1, RSM_LOG_TEXT, false);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host h;

		run_to(&h, cases[i].name, 1, KVM_END_POWEROFF);
		assert_int_equal(h.nreports, 6);
		assert_true(h.reports[0] & NEEDS_RESET);
		assert_int_equal(h.reports[1], RUNNING); /* the entropy device */
		assert_int_equal(h.reports[2], RNG_BYTES);
		assert_true(h.reports[3] & NEEDS_RESET);
		assert_int_equal(h.reports[4], RUNNING);
		assert_int_equal(h.reports[5], cases[i].answer);
		host_fini(&h);
	}
}

static void good_request_is_answered(void **state)
{
	struct host h;

	run_to(&h, "ring_works", 1, KVM_END_POWEROFF);
	assert_int_equal(h.reports[0], RUNNING);
	assert_int_equal(h.reports[1], RNG_BYTES);
	host_fini(&h);
}

/* Whatever happens to the device meanwhile, it works after its last reset. */
static void storms_leave_a_device_that_can_be_reset(void **state)
{
	static const char *const storms[] = {"queue_on_itself", "reset_loop", "ring_race",
					     "register_storm"};

	rsm_log_to(-1, RSM_LOG_TEXT, false);
	for (size_t i = 0; i < sizeof(storms) / sizeof(storms[0]); i++) {
		struct host h;

		run_to(&h, storms[i], 2, KVM_END_POWEROFF);
		if (h.nreports != 3 || h.reports[1] != RUNNING || h.reports[2] != RNG_BYTES)
			fail_msg("%s: %u reports, status 0x%x with %u bytes", storms[i], h.nreports,
				 h.reports[1], h.reports[2]);
		host_fini(&h);
	}
}

/* As in runsm-vmm: every vCPU has its list of system calls, and what it does here must be on it. */
static int lock(void **state)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -1 : jail_syscalls();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(guest_boots_by_the_pvh_entry, need_kvm),
		cmocka_unit_test_setup(guest_boots_by_the_64_bit_entry, need_kvm),
		cmocka_unit_test_setup(triple_fault_ends_the_vm_with_the_vcpu_state, need_kvm),
		cmocka_unit_test_setup(instruction_kvm_lacks_ends_the_vm_or_works, need_kvm),
		cmocka_unit_test_setup(reset_ends_the_vm, need_kvm),
		cmocka_unit_test_setup(vms_can_be_made_and_reset_over_and_over, need_kvm),
		cmocka_unit_test_setup(vcpu_that_never_leaves_is_stopped, need_kvm),
		cmocka_unit_test_setup(vcpu_that_leaves_all_the_time_is_stopped, need_kvm),
		cmocka_unit_test_setup(vcpu_that_halts_for_ever_is_stopped, need_kvm),
		cmocka_unit_test_setup(vcpus_that_never_started_are_stopped, need_kvm),
		cmocka_unit_test_setup(second_vcpu_starts_by_init_and_sipi, need_kvm),
		cmocka_unit_test_setup(power_off_takes_a_looping_vcpu_along, need_kvm),
		cmocka_unit_test_setup(pause_stops_the_guest_and_resume_goes_on, need_kvm),
		cmocka_unit_test_setup(paused_vm_can_be_freed, need_kvm),
		cmocka_unit_test_setup(holes_read_as_ones_and_swallow_writes, need_kvm),
		cmocka_unit_test_setup(readonly_memory_keeps_its_contents, need_kvm),
		cmocka_unit_test_setup(string_reads_of_a_hole_fill_with_ones, need_kvm),
		cmocka_unit_test_setup(serial_output_comes_out_in_lines, need_kvm),
		cmocka_unit_test_setup(good_request_is_answered, need_kvm),
		cmocka_unit_test_setup(offence_fails_the_device_until_its_reset, need_kvm),
		cmocka_unit_test_setup(malformed_ring_fails_that_device_only, need_kvm),
		cmocka_unit_test_setup(storms_leave_a_device_that_can_be_reset, need_kvm),
		cmocka_unit_test_setup(impossible_sizes_are_refused_by_name, need_kvm),
	};

	return cmocka_run_group_tests_name("tests/guest", tests, lock, NULL);
}
