/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RSM_RUNTIME_SIGNALS_H
#define RSM_RUNTIME_SIGNALS_H

/**
 * sig_parse() - Number of a signal given by name or number
 * @s:	"KILL", "SIGKILL", "kill", "9", "RTMIN+3"; 0 is allowed: it only asks whether one could
 * Return: 0..64, or -1
 */
int sig_parse(const char *s);

#endif
