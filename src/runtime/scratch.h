/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scratch space: a disk of the VM's own, as large as the annotation
 *
 *	"io.runsm.scratch": "10G@/var/lib/docker"
 *
 * says, with an ext4 file system, mounted at that path. The guest's kernel works on it without
 * asking the host about every file, and what is on it is gone when the container stops.
 *
 * It is a sparse file that has no name: it takes what is written to it, and no crash leaves it
 * behind.
 */
#ifndef RSM_RUNTIME_SCRATCH_H
#define RSM_RUNTIME_SCRATCH_H

#include "base/error.h"
#include "runtime/arena.h"
#include "runtime/oci.h"

#include <stdint.h>

#define SCRATCH_ANNOTATION "io.runsm.scratch"
#define SCRATCH_MIN        (16ULL << 20)
#define SCRATCH_MAX        (16ULL << 40) /* ext4's with blocks of 4 KiB */

/**
 * struct scratch - What the annotation asks for
 * @size:	bytes; 0: nothing
 * @path:	in the container; in the arena
 */
struct scratch {
	uint64_t size;
	char *path;
};

/* Return: 0, also without the annotation; -EINVAL naming it */
int scratch_parse(const struct oci_spec *spec, struct arena *arena, struct scratch *ret,
		  struct rsm_error *err);

/**
 * scratch_make() - Make the file, with its file system
 * @dir:	on a disk; made if it is not there
 * Return: fd; -errno with @err, for example without mke2fs
 */
int scratch_make(const char *dir, uint64_t size, struct rsm_error *err);

#endif
