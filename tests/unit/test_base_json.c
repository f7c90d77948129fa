// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include "base/math.h"
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

static void bad_documents_are_refused_with_a_reason(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "" },
		{ "{", "" },
		{ "{} x", "" },
		{ "[1,]", "" },
		{ "{\"a\":1,\"a\":2}", "duplicate key 'a'" },
		{ "{\n\"a\":\"b\\u0000c\"}", "line 2: a: string contains a NUL" },
		{ "{\"o\":[{},{\"l\":[1,\"\\u0000\"]}]}", "line 1: o[1].l[1]: string" },
		{ "{\"o\":[{},{\"l\":[1],\"\\u0000\":1}]}", "line 1: o[1]: key" },
		{ "[{\"a\":{\"b\":1,\"b\":2}}]", "line 1: [0].a: duplicate key 'b'" },
		{ "\"\\u0000\"", "line 1: string" },
		{ "\"\xff\"", "" },
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++) {
		struct rsm_error err = RSM_ERROR_INIT;
		struct rsm_json *v = NULL;

		assert_true(rsm_json_parse(cases[i].text, strlen(cases[i].text), &v, &err) < 0);
		assert_null(v);
		assert_non_null(strstr(err.message, cases[i].why));
		assert_true(err.message[0] != '\0');
	}
}

static void nesting_is_bounded(void **state)
{
	struct rsm_error err = RSM_ERROR_INIT;
	char text[RSM_JSON_MAX_DEPTH + 2];
	struct rsm_json *v = NULL;

	memset(text, '[', sizeof(text));
	assert_int_equal(rsm_json_parse(text, sizeof(text), &v, &err), -E2BIG);
}

static void a_document_survives_parse_and_generate(void **state)
{
	static const char text[] = "{\"a\":[1,-2,18446744073709551615,1.5e3],\"b\":{\"c\":null},"
				   "\"d\":true,\"e\":\"x\\ny\"}";
	struct rsm_error err = RSM_ERROR_INIT;
	struct rsm_jsongen *g;
	struct rsm_json *v;
	const char *out;
	uint64_t u;
	int64_t s;

	assert_int_equal(rsm_json_parse(text, strlen(text), &v, &err), 0);
	assert_true(rsm_json_uint64(rsm_json_at(rsm_json_get(v, "a"), 2), &u));
	assert_true(u == UINT64_MAX);
	assert_false(rsm_json_int64(rsm_json_at(rsm_json_get(v, "a"), 2), &s));
	assert_false(rsm_json_int64(rsm_json_at(rsm_json_get(v, "a"), 3), &s));
	assert_false(rsm_json_uint64(rsm_json_at(rsm_json_get(v, "a"), 1), &u));
	assert_string_equal(rsm_json_string(rsm_json_get(v, "e")), "x\ny");
	assert_int_equal(rsm_jsongen_new(false, &g), 0);
	rsm_jsongen_value(g, v);
	assert_int_equal(rsm_jsongen_finish(g, &out, NULL), 0);
	assert_string_equal(out, text);
	rsm_jsongen_free(g);
	rsm_json_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_documents_are_refused_with_a_reason),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(a_document_survives_parse_and_generate),
	};

	return cmocka_run_group_tests_name("base/json", tests, NULL, NULL);
}
