/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of `runsm ps`: columns as ps(1) of procps has them, and its options that choose them.
 *
 * What is printed comes from the guest: text is printed with '?' for whatever is not printable
 * ASCII, and numbers are clamped before they are calculated with.
 */
#ifndef RSM_RUNTIME_PS_TABLE_H
#define RSM_RUNTIME_PS_TABLE_H

#include "base/error.h"
#include "ttrpc/agent.pb-c.h"

#include <stdbool.h>
#include <stdio.h>

#define PS_COLUMNS_MAX 32

struct ps_column;

/**
 * struct ps_format - Which columns
 * @headers:	of @len bytes: part of an argument, or the column's own; @title: any is not empty
 */
struct ps_format {
	const struct ps_column *columns[PS_COLUMNS_MAX];
	const char *headers[PS_COLUMNS_MAX];
	int len[PS_COLUMNS_MAX];
	size_t n;
	bool title;
};

/**
 * ps_format_parse() - Understand options of ps(1)
 * @argv:	kept in @ret; no options at all mean -ef
 *
 * Options that choose processes can only be those for all of them: a container's are what is shown.
 * Return: 0 or -EINVAL with the name of what is not supported
 */
int ps_format_parse(int argc, char **argv, struct ps_format *ret, struct rsm_error *err);

/* Find a column by its name after -o, of @len bytes; NULL if there is none. */
const struct ps_column *ps_column_find(const char *name, size_t len);
const char *ps_column_header(const struct ps_column *column);

/* Print them in the order of their pids. */
void ps_print(FILE *to, const struct ps_format *format, const Runsm__ProcessesResponse *list);

#endif
