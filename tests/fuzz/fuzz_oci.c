// SPDX-License-Identifier: Apache-2.0
/*
 * config.json and process.json from anywhere. What the parser accepts must also become messages,
 * and what it refuses must name a reason.
 */
#include "runtime/oci.h"
#include "runtime/vmconfig.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_messages(const struct oci_spec *spec)
{
	const struct settings settings = {.guest_dir = "/nowhere"};
	const struct vm_request req = {.id = "fuzz",
				       .spec = spec,
				       .settings = &settings,
				       .bundle = "/nonexistent",
				       .rootfs = "/nonexistent",
				       .qemu = "/nonexistent",
				       .accel = ACCEL_TCG};
	struct rsm_error err = RSM_ERROR_INIT;
	struct arena arena = {0};
	Runsm__VmConfig *config;

	if (vmconfig_new(&arena, &req, &config, &err) == 0) {
		size_t len = runsm__vm_config__get_packed_size(config);
		uint8_t *packed = malloc(len);

		rsm_assert(packed && runsm__vm_config__pack(config, packed) == len);
		free(packed);
	} else {
		rsm_assert(err.message[0]);
	}
	arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rsm_error err = RSM_ERROR_INIT;
	struct oci_spec *spec = NULL;

	if (oci_spec_parse((const char *)data, size, &spec, &err) == 0)
		make_messages(spec);
	else
		rsm_assert(!spec && err.code > 0 && err.message[0]);
	oci_spec_free(spec);
	spec = NULL;
	(void)oci_spec_parse_hooks((const char *)data, size, &spec, &err);
	oci_spec_free(spec);
	spec = NULL;
	if (oci_spec_parse_process((const char *)data, size, &spec, &err) == 0) {
		struct arena arena = {0};
		const struct oci_linux none = {0};

		rsm_assert(vmconfig_process(&arena, &spec->process, &none, false, 2));
		arena_free(&arena);
	}
	oci_spec_free(spec);
	return 0;
}
