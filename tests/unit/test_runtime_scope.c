// SPDX-License-Identifier: Apache-2.0
/* systemd's driver, as far as it needs no systemd: names of units, and limits as properties. */
#include "cmocka_all.h"

#include "runtime/cgroup_props.h"
#include "runtime/cgroup_unit.h"

#include <errno.h>
#include <string.h>

/* ---- names */

static void cgroups_path_becomes_a_scope_in_a_slice(void **state)
{
	static const struct {
		const char *path, *slice, *name;
		bool user;
	} rows[] = {
		{"system.slice:docker:abc", "system.slice", "docker-abc.scope", false},
		{"user.slice:libpod:abc", "user.slice", "libpod-abc.scope", true},
		{"a-b-c.slice:cri-containerd:x", "a-b-c.slice", "cri-containerd-x.scope", false},
		{":p:x", "system.slice", "p-x.scope", false},
		{":p:x", "user.slice", "p-x.scope", true},
		{"-:p:x", "-.slice", "p-x.scope", false},
		{"-.slice:p:x", "-.slice", "p-x.scope", false},
		{"::x", "system.slice", "x.scope", false},
		{"s.slice:p:a.b_c\\x2d1", "s.slice", "p-a.b_c\\x2d1.scope", false},
		{NULL, "system.slice", "runsm-my_id.scope", false},
		{"", "user.slice", "runsm-my_id.scope", true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cgroup_where where = {
			.id = "my_id", .cgroups_path = rows[i].path, .root = CGROUP_DEFAULT_ROOT};
		struct rsm_error err = RSM_ERROR_INIT;
		struct cgroup_unit unit;

		if (cgroup_unit_of(&where, rows[i].user, &unit, &err) < 0)
			fail_msg("%s: %s", rows[i].path, err.message);
		assert_string_equal(unit.slice, rows[i].slice);
		assert_string_equal(unit.name, rows[i].name);
	}
}

static void malformed_cgroups_path_is_refused_by_field(void **state)
{
	static const struct {
		const char *path, *says;
		int error;
	} rows[] = {
		{"/docker/abc", "slice:prefix:name", -EINVAL},
		{"system.slice:abc", "slice:prefix:name", -EINVAL},
		{"a.slice:b:c:d", "slice:prefix:name", -EINVAL},
		{"system:docker:abc", "'system' is no slice", -EINVAL},
		{".slice:p:x", "no slice", -EINVAL},
		{"a/b.slice:p:x", "no slice", -EINVAL},
		{"a--b.slice:p:x", "no slice", -EINVAL},
		{"-a.slice:p:x", "no slice", -EINVAL},
		{"a-.slice:p:x", "no slice", -EINVAL},
		{"a b.slice:p:x", "no slice", -EINVAL},
		{"a.slice:p:", "is empty", -EINVAL},
		{"a.slice:p:x/y", "no name for a unit", -EINVAL},
		{"a.slice:p q:x", "no name for a unit", -EINVAL},
		{"a.slice:p:x.slice", "a container is a scope", -EOPNOTSUPP},
	};
	char text[CGROUP_UNIT_MAX + 16] = "a.slice:p:";
	struct cgroup_where where = {.id = "c", .root = CGROUP_DEFAULT_ROOT};
	struct rsm_error err = RSM_ERROR_INIT;
	struct cgroup_unit unit;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		where.cgroups_path = rows[i].path;
		assert_int_equal(cgroup_unit_of(&where, false, &unit, &err), rows[i].error);
		assert_int_equal(strncmp(err.message, "linux.cgroupsPath: ", 19), 0);
		if (!strstr(err.message, rows[i].says))
			fail_msg("%s: %s", rows[i].path, err.message);
	}
	memset(text + strlen(text), 'x', CGROUP_UNIT_MAX - sizeof("p-.scope"));
	where.cgroups_path = text;
	assert_int_equal(cgroup_unit_of(&where, false, &unit, &err), 0);
	assert_int_equal(strlen(unit.name), CGROUP_UNIT_MAX - 1);
	(void)strcat(text, "x");
	assert_int_equal(cgroup_unit_of(&where, false, &unit, &err), -ENAMETOOLONG);
}

static void default_name_takes_every_id_and_keeps_roots_apart(void **state)
{
	struct cgroup_where where = {.id = "a+b", .root = CGROUP_DEFAULT_ROOT};
	struct cgroup_unit unit, other;

	assert_int_equal(cgroup_unit_of(&where, false, &unit, NULL), 0);
	assert_string_equal(unit.name, "runsm-a\\x2bb.scope");
	where.root = "/elsewhere";
	assert_int_equal(cgroup_unit_of(&where, false, &unit, NULL), 0);
	where.root = "/third";
	assert_int_equal(cgroup_unit_of(&where, false, &other, NULL), 0);
	assert_string_not_equal(unit.name, other.name);
	assert_int_equal(strncmp(other.name, "runsm-a\\x2bb-", 13), 0);
}

/* ---- properties */

static const struct cgroup_prop *prop(const struct cgroup_props *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->v[i].name, name) == 0)
			return &p->v[i];
	return NULL;
}

static void assert_u64(const struct cgroup_props *p, const char *name, uint64_t value)
{
	const struct cgroup_prop *found = prop(p, name);

	if (!found)
		fail_msg("no %s", name);
	assert_int_equal(found->kind, CGROUP_PROP_U64);
	assert_int_equal(found->value, value);
}

static const struct cgroup_vm vm = {.memory = 256 << 20, .vcpus = 2};

static struct oci_linux all_limits(void)
{
	struct oci_linux l = {.memory_limit = 256 << 20, .pids_limit = 100};

	l.resources.memory_reservation = 4096;
	l.resources.cpu_shares = 1024;
	l.resources.io_weight = 500;
	l.resources.cpu_set.bits[0] = 0x05; /* 0 and 2 */
	l.resources.cpu_set.bits[1] = 0x80; /* 15 */
	l.resources.mem_set.bits[0] = 0x01;
	return l;
}

static void limits_have_the_names_of_each_version_of_cgroups(void **state)
{
	static const struct {
		const char *v1, *v2;
		uint64_t value1, value2;
	} rows[] = {
		{"CPUShares", "CPUWeight", 1024, 39},
		{"BlockIOWeight", "IOWeight", 500, 4950},
		{"TasksMax", "TasksMax", 258, 258},
		{NULL, "MemoryLow", 0, 4096},
	};
	const struct oci_linux l = all_limits();
	struct cgroup_props v1 = {.n = 0}, v2 = {.n = 0};

	cgroup_props_limits(false, &l, &vm, &v1);
	cgroup_props_limits(true, &l, &vm, &v2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].v1)
			assert_u64(&v1, rows[i].v1, rows[i].value1);
		assert_u64(&v2, rows[i].v2, rows[i].value2);
	}
	/* the VM's, not the container's */
	assert_u64(&v1, "MemoryLimit", cgroup_vm_memory(&vm));
	assert_u64(&v2, "MemoryMax", cgroup_vm_memory(&vm));
	assert_int_equal(v1.n, 6);
	assert_int_equal(v2.n, 7);
}

static void cpus_and_mems_are_bits_and_only_for_a_systemd_that_has_them(void **state)
{
	const struct oci_linux l = all_limits();
	struct cgroup_props p = {.n = 0};
	const struct cgroup_prop *cpus, *mems;

	cgroup_props_limits(true, &l, &vm, &p);
	cpus = prop(&p, "AllowedCPUs");
	mems = prop(&p, "AllowedMemoryNodes");
	assert_non_null(cpus);
	assert_non_null(mems);
	assert_int_equal(cpus->kind, CGROUP_PROP_BYTES);
	assert_int_equal(cpus->value, 2);
	assert_memory_equal(cpus->text, "\x05\x80", 2);
	assert_int_equal(mems->value, 1);
	assert_int_equal(cpus->since, 244);
	assert_true(cgroup_props_need_version(&p));
}

static void nothing_given_sets_nothing(void **state)
{
	const struct oci_linux none = {0};
	struct cgroup_props p = {.n = 0};

	cgroup_props_limits(true, &none, &vm, &p);
	cgroup_props_limits(false, &none, &vm, &p);
	assert_int_equal(p.n, 0);
	assert_false(cgroup_props_need_version(&p));
}

static void unified_files_become_properties_where_there_is_one(void **state)
{
	struct oci_pair pairs[] = {
		{"memory.high", "1000000"}, {"memory.low", "max"},     {"memory.min", "12k"},
		{"cpu.weight", "7"},        {"memory.oom.group", "1"}, {"memory.high", "2000000"},
	};
	struct oci_linux l = {.resources = {.unified = pairs, .n_unified = 6}};
	struct cgroup_props p = {.n = 0};

	cgroup_props_limits(true, &l, &vm, &p);
	assert_u64(&p, "MemoryHigh", 2000000);
	assert_u64(&p, "MemoryLow", UINT64_MAX);
	assert_u64(&p, "CPUWeight", 7);
	assert_int_equal(p.n, 3); /* "12k" is for the kernel to understand */
}

static void idle_is_a_weight_of_version_2(void **state)
{
	struct oci_linux l = {.resources = {.cpu_idle = 1, .cpu_shares = 512}};
	struct cgroup_props v1 = {.n = 0}, v2 = {.n = 0};

	cgroup_props_limits(true, &l, &vm, &v2);
	cgroup_props_limits(false, &l, &vm, &v1);
	assert_u64(&v2, "CPUWeight", 0);
	assert_int_equal(v2.n, 1);
	assert_int_equal(v2.v[0].since, 252);
	assert_u64(&v1, "CPUShares", 512);
}

static void quota_is_a_share_of_a_second_in_whole_percents_upwards(void **state)
{
	static const struct {
		int64_t quota;
		uint64_t period, share;
	} rows[] = {
		{50000, 100000, 500000},  {150000, 100000, 1500000}, {33333, 100000, 340000},
		{1000, 0, 10000},         {1, 1000000, 10000},       {100, 100000, 10000},
		{-1, 100000, UINT64_MAX}, {0, 50000, UINT64_MAX},    {INT64_MAX, 1000, UINT64_MAX},
		{200000, 50000, 4000000},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cgroup_props p = {.n = 0};

		cgroup_props_rates(rows[i].quota, rows[i].period, &p);
		assert_u64(&p, "CPUQuotaPerSecUSec", rows[i].share);
		assert_int_equal(p.n, rows[i].period ? 2 : 1);
		if (rows[i].period)
			assert_u64(&p, "CPUQuotaPeriodUSec", rows[i].period);
	}
}

/* ---- annotations */

#define NAMED "org.systemd.property."

static int annotate(const char *key, const char *value, struct arena *arena,
		    struct cgroup_prop *ret, struct rsm_error *err)
{
	const struct oci_pair pairs[] = {{"other.key", "?"}, {key, value}};
	struct cgroup_props p = {.n = 0};
	int r = cgroup_props_annotations(pairs, 2, arena, &p, err);

	if (r == 0) {
		assert_int_equal(p.n, 1);
		*ret = p.v[0];
	}
	return r;
}

static void annotations_are_numbers_and_truths_of_their_type(void **state)
{
	static const struct {
		const char *key, *text, *name;
		enum cgroup_prop_kind kind;
		uint64_t value;
	} rows[] = {
		{NAMED "IOWeight", "uint64 200", "IOWeight", CGROUP_PROP_U64, 200},
		{NAMED "IOWeight", "@t 0x10", "IOWeight", CGROUP_PROP_U64, 16},
		{NAMED "TasksMax", "uint64 18446744073709551615", "TasksMax", CGROUP_PROP_U64,
		 UINT64_MAX},
		{NAMED "Nice", "-5", "Nice", CGROUP_PROP_I32, (uint64_t)-5},
		{NAMED "Nice", "int32 -2147483648", "Nice", CGROUP_PROP_I32, (uint64_t)INT32_MIN},
		{NAMED "Some", "int64 -9223372036854775808", "Some", CGROUP_PROP_I64,
		 (uint64_t)INT64_MIN},
		{NAMED "Some", " uint32 4294967295 ", "Some", CGROUP_PROP_U32, UINT32_MAX},
		{NAMED "SendSIGHUP", "true", "SendSIGHUP", CGROUP_PROP_BOOL, 1},
		{NAMED "SendSIGHUP", "boolean false", "SendSIGHUP", CGROUP_PROP_BOOL, 0},
		{NAMED "TimeoutStopUSec", "uint64 123", "TimeoutStopUSec", CGROUP_PROP_U64, 123},
		{NAMED "TimeoutStopSec", "90", "TimeoutStopUSec", CGROUP_PROP_U64, 90000000},
		{NAMED "TimeoutStopSec", "1.5", "TimeoutStopUSec", CGROUP_PROP_U64, 1500000},
		{NAMED "CPUQuotaPerSec", "uint64 1", "CPUQuotaPerUSec", CGROUP_PROP_U64, 1000000},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rsm_error err = RSM_ERROR_INIT;
		struct arena arena = {0};
		struct cgroup_prop p;

		if (annotate(rows[i].key, rows[i].text, &arena, &p, &err) < 0)
			fail_msg("%s: %s", rows[i].text, err.message);
		assert_string_equal(p.name, rows[i].name);
		assert_int_equal(p.kind, rows[i].kind);
		assert_int_equal(p.value, rows[i].value);
		arena_free(&arena);
	}
}

static void annotations_are_strings_and_lists_of_them(void **state)
{
	static const struct {
		const char *text, *means;
	} rows[] = {
		{"'inactive-or-failed'", "inactive-or-failed"},
		{"\"a'b\"", "a'b"},
		{"'a\\'b\\\\c\\n'", "a'b\\c\n"},
		{"string ''", ""},
	};
	struct arena arena = {0};
	struct cgroup_prop p;
	const char *const *list;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(annotate(NAMED "CollectMode", rows[i].text, &arena, &p, NULL), 0);
		assert_int_equal(p.kind, CGROUP_PROP_TEXT);
		assert_string_equal(p.text, rows[i].means);
	}
	assert_int_equal(annotate(NAMED "After", "['a.service', \"b\"]", &arena, &p, NULL), 0);
	assert_int_equal(p.kind, CGROUP_PROP_STRINGS);
	list = p.text;
	assert_string_equal(list[0], "a.service");
	assert_string_equal(list[1], "b");
	assert_null(list[2]);
	assert_int_equal(annotate(NAMED "After", "@as []", &arena, &p, NULL), 0);
	assert_null(*(const char *const *)p.text);
	arena_free(&arena);
}

static void bad_annotations_are_refused_by_name(void **state)
{
	static const struct {
		const char *key, *text;
		int error;
	} rows[] = {
		{NAMED "IOWeight", "", -EINVAL},
		{NAMED "IOWeight", "uint64", -EINVAL},
		{NAMED "IOWeight", "uint64 -1", -EINVAL},
		{NAMED "IOWeight", "uint64 18446744073709551616", -EINVAL},
		{NAMED "IOWeight", "uint32 4294967296", -EINVAL},
		{NAMED "IOWeight", "2147483648", -EINVAL},
		{NAMED "IOWeight", "int64 -9223372036854775809", -EINVAL},
		{NAMED "IOWeight", "5 6", -EINVAL},
		{NAMED "IOWeight", "five", -EINVAL},
		{NAMED "IOWeight", "'open", -EINVAL},
		{NAMED "IOWeight", "'a\\", -EINVAL},
		{NAMED "IOWeight", "'a\\x'", -EINVAL},
		{NAMED "IOWeight", "['a'", -EINVAL},
		{NAMED "IOWeight", "['a' 'b']", -EINVAL},
		{NAMED "IOWeight", "[1]", -EINVAL},
		{NAMED "TimeoutStopSec", "'90'", -EINVAL},
		{NAMED "TimeoutStopSec", "-1.5", -EINVAL},
		{NAMED "TimeoutStopSec", "-1", -EINVAL},
		{NAMED "TimeoutStopSec", "uint64 18446744073709551615", -EINVAL},
		{NAMED "X", "1", -EINVAL},
		{NAMED, "1", -EINVAL},
		{NAMED "IO.Weight", "1", -EINVAL},
		{NAMED "Description", "'x'", -EOPNOTSUPP},
		{NAMED "Slice", "'x.slice'", -EOPNOTSUPP},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rsm_error err = RSM_ERROR_INIT;
		struct arena arena = {0};
		struct cgroup_prop p;

		if (annotate(rows[i].key, rows[i].text, &arena, &p, &err) != rows[i].error)
			fail_msg("%s=%s: '%s'", rows[i].key, rows[i].text, err.message);
		assert_int_equal(strncmp(err.message, "annotations.", 12), 0);
		assert_non_null(strstr(err.message, rows[i].key));
		arena_free(&arena);
	}
}

static void too_many_annotations_are_refused(void **state)
{
	struct oci_pair pairs[CGROUP_PROPS_MAX + 1];
	struct rsm_error err = RSM_ERROR_INIT;
	struct cgroup_props p = {.n = 0};
	struct arena arena = {0};

	for (size_t i = 0; i < CGROUP_PROPS_MAX + 1; i++)
		pairs[i] = (struct oci_pair){NAMED "Nice", "1"};
	assert_int_equal(cgroup_props_annotations(pairs, CGROUP_PROPS_MAX, &arena, &p, NULL), 0);
	p.n = 0;
	assert_int_equal(cgroup_props_annotations(pairs, CGROUP_PROPS_MAX + 1, &arena, &p, &err),
			 -E2BIG);
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cgroups_path_becomes_a_scope_in_a_slice),
		cmocka_unit_test(malformed_cgroups_path_is_refused_by_field),
		cmocka_unit_test(default_name_takes_every_id_and_keeps_roots_apart),
		cmocka_unit_test(limits_have_the_names_of_each_version_of_cgroups),
		cmocka_unit_test(cpus_and_mems_are_bits_and_only_for_a_systemd_that_has_them),
		cmocka_unit_test(nothing_given_sets_nothing),
		cmocka_unit_test(unified_files_become_properties_where_there_is_one),
		cmocka_unit_test(idle_is_a_weight_of_version_2),
		cmocka_unit_test(annotations_are_numbers_and_truths_of_their_type),
		cmocka_unit_test(annotations_are_strings_and_lists_of_them),
		cmocka_unit_test(bad_annotations_are_refused_by_name),
		cmocka_unit_test(too_many_annotations_are_refused),
		cmocka_unit_test(quota_is_a_share_of_a_second_in_whole_percents_upwards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
