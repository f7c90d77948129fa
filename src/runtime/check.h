/* SPDX-License-Identifier: Apache-2.0 */
/* What `runsm check` finds out. */
#ifndef RSM_RUNTIME_CHECK_H
#define RSM_RUNTIME_CHECK_H

#include "base/error.h"
#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>

enum check_grade {
	CHECK_OK,
	CHECK_WARN, /* something is worse than it could be */
	CHECK_FAIL, /* no container can run */
};

/**
 * struct check_item - One finding
 * @detail:	what is the case
 * @advice:	what to do about it; "" if nothing is to be done
 */
struct check_item {
	const char *name;
	enum check_grade grade;
	char detail[512];
	char advice[256];
};

#define CHECK_ITEMS_MAX 24

struct check_report {
	struct check_item items[CHECK_ITEMS_MAX];
	size_t n;
	const char *machine; /* "kvm", "tcg", or "" if there is none */
};

/**
 * check_all() - Look at everything
 * @root:	directory of the containers' state
 *
 * Starts QEMU to ask for its version and devices, and the KVM probe's guest.
 */
void check_all(const char *root, struct check_report *r);

/* Can a container run? */
bool check_passed(const struct check_report *r);

#endif
