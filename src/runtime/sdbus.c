// SPDX-License-Identifier: Apache-2.0
#include "runtime/sdbus.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

static const struct {
	const char *name;
	size_t offset;
} functions[] = {
#define SDBUS_ROW(name) {#name, offsetof(struct sdbus, name)},
	SDBUS_FUNCTIONS(SDBUS_ROW)
#undef SDBUS_ROW
};

int sdbus_load(struct sdbus *ret, struct rsm_error *err)
{
	void *library = dlopen(SDBUS_LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return rsm_fail(err, ENOPKG, "%s: install libsystemd0", dlerror());
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *function = dlsym(library, functions[i].name);

		if (!function)
			return rsm_fail(err, ENOPKG, SDBUS_LIBRARY " is too old: it has no %s",
					functions[i].name);
		*(void **)((char *)ret + functions[i].offset) = function;
	}
	return 0;
}
