// SPDX-License-Identifier: Apache-2.0
/* The kvm machine as runsm-vmm uses it, with a tiny guest (tests/guest). */
#include "vmm/machine.h"

#include "base/io.h"
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define GUESTS	"tests/guest/guests"
#define MIB	(1ULL << 20)
#define LONG_MS 5000

struct fixture {
	struct rsm_loop *loop;
	struct machine *m;
	int console[2];
	char dir[64];
	bool exited, free_in_callback;
	struct rsm_error why;
	unsigned done;
};

static int setup(void **state)
{
	struct fixture *f;

	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		if (getenv("RUNSM_TEST_STRICT"))
			fail_msg("/dev/kvm: %s", strerror(errno));
		print_message("# /dev/kvm: %s\n", strerror(errno));
		skip();
	}
	f = calloc(1, sizeof(*f));
	assert_non_null(f);
	assert_int_equal(rsm_loop_new(&f->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f->console), 0);
	strcpy(f->dir, "/tmp/runsm-test-kvm.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (!f)
		return 0;
	machine_free(f->m);
	rsm_loop_free(f->loop);
	close(f->console[0]);
	close(f->console[1]);
	rsm_remove_tree_at(AT_FDCWD, f->dir);
	free(f);
	return 0;
}

static void on_exit_(void *cookie, const struct rsm_error *why)
{
	struct fixture *f = cookie;

	assert_false(f->exited);
	f->exited = true;
	f->why = *why;
	if (f->free_in_callback) {
		machine_free(f->m);
		f->m = NULL;
	}
}

static void on_done(void *cookie, const struct rsm_error *err)
{
	struct fixture *f = cookie;

	assert_int_equal(err->code, 0);
	f->done++;
}

static int create(struct fixture *f, const char *guest, uint32_t vcpus, struct rsm_error *err)
{
	struct machine_config config = {
		.kernel = GUESTS,
		.cmdline = guest,
		.memory = 64 * MIB,
		.vcpus = vcpus,
		.console_fd = f->console[1],
	};

	return machine_create(&machine_kvm, f->loop, &config, on_exit_, f, &f->m, err);
}

static void start(struct fixture *f, const char *guest, uint32_t vcpus)
{
	struct rsm_error err = RSM_ERROR_INIT;

	if (create(f, guest, vcpus, &err) < 0 || machine_start(f->m, &err) < 0)
		fail_msg("%s", err.message);
}

/* Run the loop until *@flag, at most LONG_MS. */
static void run_until(struct fixture *f, const volatile bool *flag)
{
	for (int ms = 0; !*flag && ms < LONG_MS; ms++)
		assert_int_equal(rsm_loop_once(f->loop, 1), 0);
	assert_true(*flag);
}

static void run_until_done(struct fixture *f, unsigned done)
{
	for (int ms = 0; f->done < done && ms < LONG_MS; ms++)
		assert_int_equal(rsm_loop_once(f->loop, 1), 0);
	assert_int_equal(f->done, done);
}

static void power_off_and_reset_are_the_guests_own_doing(void **state)
{
	struct fixture *f = *state;

	start(f, "hello", 1);
	run_until(f, &f->exited);
	assert_int_equal(f->why.code, 0);
	machine_free(f->m);
	f->m = NULL;
	f->exited = false;
	start(f, "reset", 4);
	run_until(f, &f->exited);
	assert_int_equal(f->why.code, 0);
}

static void triple_fault_is_reported_in_one_line(void **state)
{
	struct fixture *f = *state;

	start(f, "triple_fault", 1);
	run_until(f, &f->exited);
	assert_int_equal(f->why.code, EIO);
	assert_non_null(strstr(f->why.message, "triple fault;"));
	assert_non_null(strstr(f->why.message, "rip "));
	assert_null(strchr(f->why.message, '\n'));
}

static void machine_may_be_freed_when_it_exits(void **state)
{
	struct fixture *f = *state;

	f->free_in_callback = true;
	start(f, "hello", 1);
	run_until(f, &f->exited);
	assert_null(f->m);
}

static void running_machine_may_be_freed(void **state)
{
	struct fixture *f = *state;

	start(f, "spin", 2);
	for (int i = 0; i < 10; i++)
		assert_int_equal(rsm_loop_once(f->loop, 1), 0);
	machine_free(f->m);
	f->m = NULL;
	assert_false(f->exited);
}

static void machine_that_never_started_may_be_freed(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct fixture *f = *state;

	assert_int_equal(create(f, "hello", 2, &err), 0);
}

static void pause_and_resume_answer_from_the_loop(void **state)
{
	struct fixture *f = *state;

	start(f, "exits", 1);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(machine_pause(f->m, on_done, f), 0);
		assert_int_equal(f->done, 2 * i);
		run_until_done(f, 2 * i + 1);
		assert_int_equal(machine_resume(f->m, on_done, f), 0);
		assert_int_equal(f->done, 2 * i + 1);
		run_until_done(f, 2 * i + 2);
	}
	assert_int_equal(machine_pause(f->m, on_done, f), 0);
	assert_int_equal(machine_resume(f->m, on_done, f), -EBUSY); /* not answered yet */
	assert_false(f->exited);
}

static void console_output_arrives(void **state)
{
	struct fixture *f = *state;
	char text[64] = "";

	start(f, "serial", 1);
	run_until(f, &f->exited);
	assert_true(read(f->console[0], text, sizeof(text) - 1) > 0);
	assert_int_equal(strncmp(text, "first line\n", 11), 0);
}

static void new_generation_id_reaches_the_guest_with_an_interrupt(void **state)
{
	static const uint8_t id[MACHINE_GENERATION_BYTES] = "a generation id";
	struct fixture *f = *state;
	char text[64] = "";
	ssize_t n;

	start(f, "generation", 1);
	for (int ms = 0; ms < LONG_MS && recv(f->console[0], text, 3, MSG_PEEK | MSG_DONTWAIT) < 3;
	     ms++)
		assert_int_equal(rsm_loop_once(f->loop, 1), 0);
	assert_false(f->exited);
	assert_int_equal(machine_set_generation(f->m, id), 0);
	run_until(f, &f->exited);
	assert_int_equal(f->why.code, 0);
	n = read(f->console[0], text, sizeof(text));
	assert_int_equal(n, 3 + sizeof(id));
	assert_memory_equal(text, "up\n", 3);
	assert_memory_equal(text + 3, id, sizeof(id));
}

static void guest_without_acpi_has_no_generation_id(void **state)
{
	static const uint8_t id[MACHINE_GENERATION_BYTES];
	struct fixture *f = *state;
	struct rsm_error err = RSM_ERROR_INIT;

	assert_int_equal(create(f, "hello acpi=off", 1, &err), 0);
	assert_int_equal(machine_set_generation(f->m, id), -EOPNOTSUPP);
}

/* A console nobody reads must not stop the guest. */
static void full_console_does_not_block_the_guest(void **state)
{
	struct fixture *f = *state;
	char junk[4096] = { 0 };

	assert_int_equal(rsm_set_nonblock(f->console[1], true), 0);
	while (write(f->console[1], junk, sizeof(junk)) > 0)
		;
	start(f, "serial", 1);
	run_until(f, &f->exited);
	assert_int_equal(f->why.code, 0);
}

static void make_file(struct fixture *f, const char *name, uint64_t size, char *path)
{
	int fd;

	sprintf(path, "%s/%s", f->dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static void write_at(const char *path, off_t at, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, data, len, at), len);
	close(fd);
}

static void bad_configurations_are_refused_by_name(void **state)
{
	struct fixture *f = *state;
	char missing[100], empty[100], big[100], huge[100], arm[100], words[3000];
	const struct {
		const char *kernel, *initrd, *cmdline;
		uint64_t memory;
		uint32_t vcpus;
		const char *part;
	} cases[] = {
		{ missing, NULL, "", 64 * MIB, 1, "No such file" },
		{ empty, NULL, "", 64 * MIB, 1, "neither ELF nor bzImage" },
		{ "/", NULL, "", 64 * MIB, 1, "not a regular file" },
		{ GUESTS, missing, "", 64 * MIB, 1, "initramfs" },
		{ arm, NULL, "", 64 * MIB, 1, "another architecture (arm64)" },
		{ GUESTS, big, "", 64 * MIB, 1, "too small for an initramfs of 100 MiB" },
		{ GUESTS, huge, "", 2048 * MIB, 1, "of 2000 MiB is too big" },
		{ GUESTS, NULL, words, 64 * MIB, 1, "command line" },
		{ GUESTS, NULL, "", 64 * MIB, 1000, "1000 vCPUs" },
		{ GUESTS, NULL, "", MIB, 1, "too small for the kernel" },
		{ GUESTS, NULL, "", 1ULL << 62, 1, "this CPU addresses" },
	};

	sprintf(missing, "%s/missing", f->dir);
	make_file(f, "empty", 0, empty);
	make_file(f, "big", 100 * MIB, big);
	make_file(f, "huge", 2000 * MIB, huge);
	make_file(f, "arm", 4096, arm);
	write_at(arm, 0x38, "ARM\x64", 4);
	memset(words, 'x', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rsm_error err = RSM_ERROR_INIT;
		struct machine_config config = {
			.kernel = cases[i].kernel,
			.initrd = cases[i].initrd,
			.cmdline = cases[i].cmdline,
			.memory = cases[i].memory,
			.vcpus = cases[i].vcpus,
			.console_fd = f->console[1],
		};

		assert_true(machine_create(&machine_kvm, f->loop, &config, on_exit_, f, &f->m,
					   &err) < 0);
		if (!strstr(err.message, cases[i].part))
			fail_msg("case %zu: %s", i, err.message);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(power_off_and_reset_are_the_guests_own_doing),
		TEST(triple_fault_is_reported_in_one_line),
		TEST(machine_may_be_freed_when_it_exits),
		TEST(running_machine_may_be_freed),
		TEST(machine_that_never_started_may_be_freed),
		TEST(pause_and_resume_answer_from_the_loop),
		TEST(console_output_arrives),
		TEST(new_generation_id_reaches_the_guest_with_an_interrupt),
		TEST(guest_without_acpi_has_no_generation_id),
		TEST(full_console_does_not_block_the_guest),
		TEST(bad_configurations_are_refused_by_name),
	};

	return cmocka_run_group_tests_name("vmm/kvm_machine", tests, NULL, NULL);
}
