/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sd-bus of libsystemd, loaded by the commands that talk to systemd and by no others: with the
 * libraries it needs it costs each process that is linked to it half a millisecond (docs/adr/0006).
 */
#ifndef RSM_RUNTIME_SDBUS_H
#define RSM_RUNTIME_SDBUS_H

#include "base/error.h"

#include <systemd/sd-bus.h>

#define SDBUS_LIBRARY "libsystemd.so.0"

#define SDBUS_FUNCTIONS(f)                                                                         \
	f(sd_bus_new) f(sd_bus_set_address) f(sd_bus_start) f(sd_bus_open_system)                  \
	f(sd_bus_open_user) f(sd_bus_close_unref) f(sd_bus_is_bus_client)                          \
	f(sd_bus_is_ready) f(sd_bus_call) f(sd_bus_match_signal) f(sd_bus_process)                 \
	f(sd_bus_wait) f(sd_bus_get_property_string) f(sd_bus_message_new_method_call)             \
	f(sd_bus_message_append) f(sd_bus_message_append_array)                                    \
	f(sd_bus_message_append_strv) f(sd_bus_message_open_container)                             \
	f(sd_bus_message_close_container) f(sd_bus_message_read) f(sd_bus_message_unref)           \
	f(sd_bus_error_free) f(sd_bus_error_has_name)

/* The functions, each a member of its own name. */
struct sdbus {
#define SDBUS_MEMBER(name) __typeof__(&(name)) name;
	SDBUS_FUNCTIONS(SDBUS_MEMBER)
#undef SDBUS_MEMBER
};

/* Once loaded it stays. Return: 0, or -ENOPKG naming the library */
int sdbus_load(struct sdbus *ret, struct rsm_error *err);

#endif
