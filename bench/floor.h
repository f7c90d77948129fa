/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <stdint.h>

/**
 * floor_ns() - What a request costs that nobody serves
 *
 * Forks a peer that stays on CPU @cpu and answers as soon as it sees the request, by eventfd; the
 * caller sleeps for the answer as the client does. The peer needs no kick. No vhost-user server can
 * answer faster at depth 1, however little it does.
 *
 * Return: ns per round trip, over @ms; 0 if it cannot be measured
 */
uint64_t floor_ns(unsigned cpu, unsigned ms);

#endif
