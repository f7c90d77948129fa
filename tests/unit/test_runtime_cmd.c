// SPDX-License-Identifier: Apache-2.0
#include "runtime/cmd.h"
#include "runtime/signals.h"

#include "base/math.h"
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

struct opts {
	bool flag;
	const char *text;
	unsigned number;
	struct cmd_list list;
};

static const struct cmd_opt table[] = {
	{"flag", 'f', CMD_FLAG, offsetof(struct opts, flag), ""},
	{"text", 't', CMD_STRING, offsetof(struct opts, text), ""},
	{"number", 0, CMD_UINT, offsetof(struct opts, number), ""},
	{"env", 'e', CMD_LIST, offsetof(struct opts, list), ""},
};

/* @line: words separated by single blanks; kept alive by the caller. */
static int parse(char *line, bool stop, struct opts *o, int *argc, char **argv, bool *help,
		 struct rsm_error *err)
{
	char *save = NULL;

	*argc = 0;
	for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[(*argc)++] = w;
	memset(o, 0, sizeof(*o));
	return cmd_parse(table, RSM_ARRAY_SIZE(table), stop, argc, argv, o, help, err);
}

static void durations_are_read_as_go_reads_them(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {
		{"5s", 5000000000},	   {"100ms", 100000000}, {"1m30s", 90000000000},
		{"1.5h30m", 7200000000000}, {"0", 0},		 {"-0s", 0},
		{"-1s", -1000000000},	   {"+3us", 3000},	 {".5s", 500000000},
		{"1.s", 1000000000},	   {"2ns", 2},		 {"7\u00b5s", 7000},
		{"9223372036s", 9223372036000000000},
	};
	static const char *const bad[] = {"",	 "5",	"s",   ".s",  "1 s", "1d", "x", "1s ", "-",
					  "--1s", "1s5", "00", "1e3s", "0x1s",
					  "9999999999h", "99999999999999999999s"};
	int64_t ns;

	for (size_t i = 0; i < RSM_ARRAY_SIZE(good); i++) {
		assert_int_equal(cmd_duration_parse(good[i].text, &ns), 0);
		assert_true(ns == good[i].ns);
	}
	for (size_t i = 0; i < RSM_ARRAY_SIZE(bad); i++)
		if (cmd_duration_parse(bad[i], &ns) != -EINVAL)
			fail_msg("'%s' is taken", bad[i]);
}

static void options_are_taken_in_any_form_and_place(void **state)
{
	char line[] = "--flag -t=x id --number 3 -e A=1 sig --env B=2 -- -f";
	struct rsm_error err = RSM_ERROR_INIT;
	char *argv[32];
	struct opts o;
	bool help;
	int argc;

	assert_int_equal(parse(line, false, &o, &argc, argv, &help, &err), 0);
	assert_true(o.flag && !help);
	assert_string_equal(o.text, "x");
	assert_int_equal(o.number, 3);
	assert_int_equal(o.list.n, 2);
	assert_string_equal(o.list.v[1], "B=2");
	assert_int_equal(argc, 3);
	assert_string_equal(argv[0], "id");
	assert_string_equal(argv[1], "sig");
	assert_string_equal(argv[2], "-f");
	cmd_free_opts(table, RSM_ARRAY_SIZE(table), &o);
	assert_null(o.list.v);
}

static void options_behind_the_first_argument_belong_to_the_other_program(void **state)
{
	char line[] = "-f id ls -t --help";
	struct rsm_error err = RSM_ERROR_INIT;
	char *argv[32];
	struct opts o;
	bool help;
	int argc;

	assert_int_equal(parse(line, true, &o, &argc, argv, &help, &err), 0);
	assert_true(o.flag && !o.text && !help);
	assert_int_equal(argc, 4);
	assert_string_equal(argv[3], "--help");
}

static void wrong_options_are_refused_in_runcs_words(void **state)
{
	static const struct {
		const char *line, *message;
	} cases[] = {
		{"--bogus", "flag provided but not defined: -bogus"},
		{"-x=1", "flag provided but not defined: -x"},
		{"id --text", "flag needs an argument: -text"},
		{"--number foo", "invalid value \"foo\" for flag -number: parse error"},
		{"--number -1", "invalid value \"-1\" for flag -number: parse error"},
		{"--number=", "invalid value \"\" for flag -number: parse error"},
		{"--number 99999999999",
		 "invalid value \"99999999999\" for flag -number: parse error"},
		{"--flag=maybe", "invalid boolean value \"maybe\" for flag -flag"},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++) {
		struct rsm_error err = RSM_ERROR_INIT;
		char line[100], *argv[32];
		struct opts o;
		bool help;
		int argc;

		(void)strcpy(line, cases[i].line);
		assert_int_equal(parse(line, false, &o, &argc, argv, &help, &err), -EINVAL);
		assert_string_equal(err.message, cases[i].message);
	}
}

static void help_is_recognised_as_an_option_only(void **state)
{
	char line[] = "id -h", value[] = "--text --help";
	struct rsm_error err = RSM_ERROR_INIT;
	char *argv[32];
	struct opts o;
	bool help;
	int argc;

	assert_int_equal(parse(line, false, &o, &argc, argv, &help, &err), 0);
	assert_true(help);
	assert_int_equal(parse(value, false, &o, &argc, argv, &help, &err), 0);
	assert_false(help);
	assert_string_equal(o.text, "--help");
}

static void signals_have_names_and_numbers(void **state)
{
	static const struct {
		const char *s;
		int number;
	} cases[] = {
		{"KILL", 9},     {"SIGKILL", 9},     {"kill", 9},
		{"sigterm", 15}, {"9", 9},           {"0", 0},
		{"64", 64},      {"65", -1},         {"-1", -1},
		{"", -1},        {"9x", -1},         {"BOGUS", -1},
		{"RTMIN", 34},   {"SIGRTMIN+3", 37}, {"RTMAX-14", 50},
		{"RTMAX", 64},   {"RTMIN+31", -1},   {"RTMAX-31", -1},
		{"RTMIN-1", -1}, {"RTMIN+", -1},     {"RTMIN+ 1", -1},
		{"SIG", -1},     {"WINCH", 28},      {"99999999999999999999", -1},
	};

	for (size_t i = 0; i < RSM_ARRAY_SIZE(cases); i++)
		if (sig_parse(cases[i].s) != cases[i].number)
			fail_msg("'%s': %d", cases[i].s, sig_parse(cases[i].s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_are_read_as_go_reads_them),
		cmocka_unit_test(options_are_taken_in_any_form_and_place),
		cmocka_unit_test(options_behind_the_first_argument_belong_to_the_other_program),
		cmocka_unit_test(wrong_options_are_refused_in_runcs_words),
		cmocka_unit_test(help_is_recognised_as_an_option_only),
		cmocka_unit_test(signals_have_names_and_numbers),
	};

	return cmocka_run_group_tests_name("runtime/cmd", tests, NULL, NULL);
}
