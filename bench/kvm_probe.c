// SPDX-License-Identifier: Apache-2.0
/*
 * How long the KVM probe takes, as `runsm check` and a first container of a boot meet it.
 *
 *	kvm_probe [ROUNDS]
 */
#include "base/loop.h"
#include "vmm/probe.h"

#include <stdio.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 20;
	double *ms = calloc(rounds, sizeof(*ms)), first;
	struct kvm_probe_result r = {0};

	if (!ms || rounds < 1)
		return 2;
	for (unsigned long i = 0; i < rounds; i++) {
		uint64_t from = rsm_now_ns();

		if (kvm_probe_again(&r) < 0)
			return 1;
		ms[i] = (double)(rsm_now_ns() - from) / 1e6;
	}
	first = ms[0];
	qsort(ms, rounds, sizeof(*ms), compare);
	printf("probe, ms: first %.1f, median %.1f (%.1f … %.1f); KVM is %s, %llu ps/instruction\n",
	       first, ms[rounds / 2], ms[0], ms[rounds - 1], kvm_probe_state_name(r.state),
	       (unsigned long long)r.ps_per_insn);
	free(ms);
	return 0;
}
