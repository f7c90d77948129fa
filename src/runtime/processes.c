// SPDX-License-Identifier: Apache-2.0
#include "runtime/processes.h"

#include "base/io.h"

#include <stdlib.h>

#define FILE_NAME "processes"

int processes_ask(struct ctr *c, Runsm__ProcessesResponse **ret, struct rsm_error *err)
{
	ProtobufCMessage *reply = NULL;
	int r = ctr_simple_call(c, "Processes", CTR_CALL_TIMEOUT_MS, &reply, err);

	if (r == 0)
		*ret = (Runsm__ProcessesResponse *)reply;
	return r;
}

int processes_remember(struct ctr *c, struct rsm_error *err)
{
	Runsm__ProcessesResponse *list = NULL;
	_cleanup_free_ uint8_t *packed = NULL;
	size_t len;
	int r;

	(void)unlinkat(c->dirfd, FILE_NAME, 0);
	r = processes_ask(c, &list, err);
	if (r < 0)
		return r;
	len = runsm__processes_response__get_packed_size(list);
	packed = malloc(len ? len : 1);
	if (packed)
		(void)runsm__processes_response__pack(list, packed);
	runsm__processes_response__free_unpacked(list, NULL);
	r = packed ? rsm_write_file_atomic_at(c->dirfd, FILE_NAME, packed, len, 0600) : -ENOMEM;
	return r < 0 ? rsm_fail_errno(err, r, "write down the processes") : 0;
}

int processes_recall(struct ctr *c, Runsm__ProcessesResponse **ret, struct rsm_error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = rsm_read_file_at(c->dirfd, FILE_NAME, TTRPC_DATA_MAX, &text, &len);

	if (r < 0)
		return rsm_fail_errno(err, r, "read what processes there were before the pause");
	*ret = runsm__processes_response__unpack(NULL, len, (const uint8_t *)text);
	return *ret ? 0 : rsm_fail(err, EBADMSG, "the list of processes is damaged");
}
