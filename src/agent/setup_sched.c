// SPDX-License-Identifier: Apache-2.0
/* How the guest's kernel schedules a process: policy, disk, CPUs, and the personality it shows. */
#include "agent/setup.h"

#include "base/math.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <linux/sched/types.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

int setup_scheduling(pid_t pid, const Runsm__Process *process, struct rsm_error *err)
{
	const Runsm__Scheduler *s = process->scheduler;

	if (s) {
		struct sched_attr attr = {.size = sizeof(attr),
					  .sched_policy = s->policy,
					  .sched_flags = s->flags,
					  .sched_nice = s->nice,
					  .sched_priority = s->priority,
					  .sched_runtime = s->runtime,
					  .sched_deadline = s->deadline,
					  .sched_period = s->period};

		if (syscall(SYS_sched_setattr, pid, &attr, 0) < 0)
			return rsm_fail_errno(err, errno, "process.scheduler: set policy %u",
					      s->policy);
	}
	if (process->io_priority &&
	    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, process->io_priority) < 0)
		return rsm_fail_errno(err, errno, "process.ioPriority");
	return 0;
}

int setup_cpus(const ProtobufCBinaryData *cpus, const char *field, struct rsm_error *err)
{
	if (cpus->len == 0)
		return 0;
	if (syscall(SYS_sched_setaffinity, 0, cpus->len, cpus->data) >= 0)
		return 0;
	if (errno == EINVAL)
		return rsm_fail(err, EINVAL, "%s: the VM has none of these CPUs", field);
	return rsm_fail_errno(err, errno, "%s", field);
}

int setup_personality(const Runsm__Process *process, struct rsm_error *err)
{
	if (!process->has_personality || personality(process->personality) >= 0)
		return 0;
	return rsm_fail_errno(err, errno, "linux.personality");
}
