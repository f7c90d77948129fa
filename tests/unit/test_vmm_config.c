// SPDX-License-Identifier: Apache-2.0
#include "vmm/main/vmm_sandbox.h"

#include "cmocka_all.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* protobuf-c strings are not const, though packing does not change them. */
#define TEXT(s) ((char *)(uintptr_t)(s))

/* A configuration that is good, and everything it points to. */
struct sample {
	Runsm__VmConfig config;
	Runsm__Export exports[2], *export_list[2];
	Runsm__CreateContainerRequest container;
	Runsm__Process process;
	Runsm__Stdio stdio;
	Runsm__ExtraFd extra, *extra_list[1];
};

static void make(struct sample *s)
{
	runsm__vm_config__init(&s->config);
	runsm__create_container_request__init(&s->container);
	runsm__process__init(&s->process);
	runsm__stdio__init(&s->stdio);
	runsm__extra_fd__init(&s->extra);
	s->extra_list[0] = &s->extra;
	for (size_t i = 0; i < 2; i++) {
		runsm__export__init(&s->exports[i]);
		s->exports[i].name = TEXT(i ? "m0" : "root");
		s->exports[i].path = TEXT("/");
		s->export_list[i] = &s->exports[i];
	}
	s->process.stdio = &s->stdio;
	s->container.id = TEXT("c");
	s->container.process = &s->process;
	s->config.id = TEXT("c");
	s->config.kernel = TEXT("/kernel");
	s->config.memory_bytes = 1ULL << 30;
	s->config.vcpus = 1;
	s->config.exports = s->export_list;
	s->config.n_exports = 2;
	s->config.container = &s->container;
}

static int read_back(const struct sample *s, struct rsm_error *err)
{
	static uint8_t data[4096];
	size_t len = runsm__vm_config__pack(&s->config, data);
	int fd = memfd_create("config", MFD_CLOEXEC), ret;
	Runsm__VmConfig *config;

	assert_int_equal(write(fd, data, len), len);
	ret = vmm_config_read(fd, &config, err);
	close(fd);
	if (ret == 0)
		runsm__vm_config__free_unpacked(config, NULL);
	return ret;
}

static void a_good_configuration_is_taken(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct sample s;

	make(&s);
	assert_int_equal(read_back(&s, &err), 0);
}

static void no_id(struct sample *s)
{
	s->config.id = TEXT("");
}
static void id_with_slash(struct sample *s)
{
	s->config.id = TEXT("a/b");
}
static void other_id(struct sample *s)
{
	s->container.id = TEXT("d");
}
static void no_container(struct sample *s)
{
	s->config.container = NULL;
}
static void no_process(struct sample *s)
{
	s->container.process = NULL;
}
static void no_stdio(struct sample *s)
{
	s->process.stdio = NULL;
}
static void no_kernel(struct sample *s)
{
	s->config.kernel = TEXT("");
}
static void no_memory(struct sample *s)
{
	s->config.memory_bytes = 1;
}
static void all_memory(struct sample *s)
{
	s->config.memory_bytes = UINT64_MAX;
}
static void no_cpu(struct sample *s)
{
	s->config.vcpus = 0;
}
static void many_cpus(struct sample *s)
{
	s->config.vcpus = 1000000;
}
static void many_fds(struct sample *s)
{
	s->config.extra_fds = UINT32_MAX;
}
static void no_exports(struct sample *s)
{
	s->config.n_exports = 0;
}
static void unnamed(struct sample *s)
{
	s->exports[1].name = TEXT("");
}
static void dotdot(struct sample *s)
{
	s->exports[1].name = TEXT("..");
}
static void slash(struct sample *s)
{
	s->exports[1].name = TEXT("a/b");
}
static void same_name(struct sample *s)
{
	s->exports[1].name = TEXT("root");
}
static void relative(struct sample *s)
{
	s->exports[1].path = TEXT("etc");
}
static void missing_fds(struct sample *s)
{
	s->stdio.extra = s->extra_list;
	s->stdio.n_extra = 1;
}

static void anything_wrong_in_it_is_refused_and_named(void **state)
{
	static const struct {
		void (*spoil)(struct sample *s);
		const char *says;
	} cases[] = {
		{no_id, "id"},
		{id_with_slash, "id"},
		{other_id, "no container"},
		{no_container, "container"},
		{no_process, "container"},
		{no_stdio, "stdio"},
		{no_kernel, "kernel"},
		{no_memory, "memory"},
		{all_memory, "memory"},
		{no_cpu, "CPUs"},
		{many_cpus, "CPUs"},
		{many_fds, "fds"},
		{missing_fds, "fds"},
		{no_exports, "exports"},
		{unnamed, "name"},
		{dotdot, "name"},
		{slash, "name"},
		{same_name, "one name"},
		{relative, "absolute"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rsm_error err = RSM_ERROR_INIT;
		struct sample s;

		make(&s);
		cases[i].spoil(&s);
		assert_int_equal(read_back(&s, &err), -EINVAL);
		assert_non_null(strstr(err.message, cases[i].says));
	}
}

static void what_is_no_configuration_is_refused(void **state)
{
	int fd = memfd_create("config", MFD_CLOEXEC), fds[2];
	struct rsm_error err = RSM_ERROR_INIT;
	Runsm__VmConfig *config;

	assert_int_equal(vmm_config_read(fd, &config, &err), -EINVAL); /* empty */
	assert_int_equal(write(fd, "\xff\xff\xff\xff", 4), 4);
	assert_int_equal(vmm_config_read(fd, &config, &err), -EINVAL);
	assert_int_equal(ftruncate(fd, 1LL << 40), 0);
	assert_int_equal(vmm_config_read(fd, &config, &err), -EINVAL);
	close(fd);
	assert_int_equal(vmm_config_read(fd, &config, &err), -EBADF);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(vmm_config_read(fds[0], &config, &err), -EINVAL);
	close(fds[0]), close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_configuration_is_taken),
		cmocka_unit_test(anything_wrong_in_it_is_refused_and_named),
		cmocka_unit_test(what_is_no_configuration_is_refused),
	};

	return cmocka_run_group_tests_name("vmm/config", tests, NULL, NULL);
}
