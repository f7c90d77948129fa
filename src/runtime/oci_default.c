// SPDX-License-Identifier: Apache-2.0
/* What `runsm spec` writes: the members and values that `runc spec` has, and nothing refused. */
#include "runtime/oci.h"

#include <stdio.h>

/* With what comes behind devpts' mode, before the namespaces, and behind them. */
#define TEXT(devpts, before, namespaces)                                                           \
	"{\n"                                                                                      \
	"\t\"ociVersion\": \"1.2.0\",\n"                                                           \
	"\t\"process\": {\n"                                                                       \
	"\t\t\"terminal\": true,\n"                                                                \
	"\t\t\"user\": {\n"                                                                        \
	"\t\t\t\"uid\": 0,\n"                                                                      \
	"\t\t\t\"gid\": 0\n"                                                                       \
	"\t\t},\n"                                                                                 \
	"\t\t\"args\": [\n"                                                                        \
	"\t\t\t\"sh\"\n"                                                                           \
	"\t\t],\n"                                                                                 \
	"\t\t\"env\": [\n"                                                                         \
	"\t\t\t\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\",\n"           \
	"\t\t\t\"TERM=xterm\"\n"                                                                   \
	"\t\t],\n"                                                                                 \
	"\t\t\"cwd\": \"/\",\n"                                                                    \
	"\t\t\"capabilities\": {\n"                                                                \
	"\t\t\t\"bounding\": [\n"                                                                  \
	"\t\t\t\t\"CAP_AUDIT_WRITE\",\n"                                                           \
	"\t\t\t\t\"CAP_KILL\",\n"                                                                  \
	"\t\t\t\t\"CAP_NET_BIND_SERVICE\"\n"                                                       \
	"\t\t\t],\n"                                                                               \
	"\t\t\t\"effective\": [\n"                                                                 \
	"\t\t\t\t\"CAP_AUDIT_WRITE\",\n"                                                           \
	"\t\t\t\t\"CAP_KILL\",\n"                                                                  \
	"\t\t\t\t\"CAP_NET_BIND_SERVICE\"\n"                                                       \
	"\t\t\t],\n"                                                                               \
	"\t\t\t\"permitted\": [\n"                                                                 \
	"\t\t\t\t\"CAP_AUDIT_WRITE\",\n"                                                           \
	"\t\t\t\t\"CAP_KILL\",\n"                                                                  \
	"\t\t\t\t\"CAP_NET_BIND_SERVICE\"\n"                                                       \
	"\t\t\t],\n"                                                                               \
	"\t\t\t\"ambient\": [\n"                                                                   \
	"\t\t\t\t\"CAP_AUDIT_WRITE\",\n"                                                           \
	"\t\t\t\t\"CAP_KILL\",\n"                                                                  \
	"\t\t\t\t\"CAP_NET_BIND_SERVICE\"\n"                                                       \
	"\t\t\t]\n"                                                                                \
	"\t\t},\n"                                                                                 \
	"\t\t\"rlimits\": [\n"                                                                     \
	"\t\t\t{\n"                                                                                \
	"\t\t\t\t\"type\": \"RLIMIT_NOFILE\",\n"                                                   \
	"\t\t\t\t\"hard\": 1024,\n"                                                                \
	"\t\t\t\t\"soft\": 1024\n"                                                                 \
	"\t\t\t}\n"                                                                                \
	"\t\t],\n"                                                                                 \
	"\t\t\"noNewPrivileges\": true\n"                                                          \
	"\t},\n"                                                                                   \
	"\t\"root\": {\n"                                                                          \
	"\t\t\"path\": \"rootfs\",\n"                                                              \
	"\t\t\"readonly\": true\n"                                                                 \
	"\t},\n"                                                                                   \
	"\t\"hostname\": \"runsm\",\n"                                                             \
	"\t\"mounts\": [\n"                                                                        \
	"\t\t{\n"                                                                                  \
	"\t\t\t\"destination\": \"/proc\",\n"                                                      \
	"\t\t\t\"type\": \"proc\",\n"                                                              \
	"\t\t\t\"source\": \"proc\"\n"                                                             \
	"\t\t},\n"                                                                                 \
	"\t\t{\n"                                                                                  \
	"\t\t\t\"destination\": \"/dev\",\n"                                                       \
	"\t\t\t\"type\": \"tmpfs\",\n"                                                             \
	"\t\t\t\"source\": \"tmpfs\",\n"                                                           \
	"\t\t\t\"options\": [\n"                                                                   \
	"\t\t\t\t\"nosuid\",\n"                                                                    \
	"\t\t\t\t\"strictatime\",\n"                                                               \
	"\t\t\t\t\"mode=755\",\n"                                                                  \
	"\t\t\t\t\"size=65536k\"\n"                                                                \
	"\t\t\t]\n"                                                                                \
	"\t\t},\n"                                                                                 \
	"\t\t{\n"                                                                                  \
	"\t\t\t\"destination\": \"/dev/pts\",\n"                                                   \
	"\t\t\t\"type\": \"devpts\",\n"                                                            \
	"\t\t\t\"source\": \"devpts\",\n"                                                          \
	"\t\t\t\"options\": [\n"                                                                   \
	"\t\t\t\t\"nosuid\",\n"                                                                    \
	"\t\t\t\t\"noexec\",\n"                                                                    \
	"\t\t\t\t\"newinstance\",\n"                                                               \
	"\t\t\t\t\"ptmxmode=0666\",\n"                                                             \
	"\t\t\t\t\"mode=0620\"" devpts "\n"                                                        \
	"\t\t\t]\n"                                                                                \
	"\t\t},\n"                                                                                 \
	"\t\t{\n"                                                                                  \
	"\t\t\t\"destination\": \"/dev/shm\",\n"                                                   \
	"\t\t\t\"type\": \"tmpfs\",\n"                                                             \
	"\t\t\t\"source\": \"shm\",\n"                                                             \
	"\t\t\t\"options\": [\n"                                                                   \
	"\t\t\t\t\"nosuid\",\n"                                                                    \
	"\t\t\t\t\"noexec\",\n"                                                                    \
	"\t\t\t\t\"nodev\",\n"                                                                     \
	"\t\t\t\t\"mode=1777\",\n"                                                                 \
	"\t\t\t\t\"size=65536k\"\n"                                                                \
	"\t\t\t]\n"                                                                                \
	"\t\t},\n"                                                                                 \
	"\t\t{\n"                                                                                  \
	"\t\t\t\"destination\": \"/dev/mqueue\",\n"                                                \
	"\t\t\t\"type\": \"mqueue\",\n"                                                            \
	"\t\t\t\"source\": \"mqueue\",\n"                                                          \
	"\t\t\t\"options\": [\n"                                                                   \
	"\t\t\t\t\"nosuid\",\n"                                                                    \
	"\t\t\t\t\"noexec\",\n"                                                                    \
	"\t\t\t\t\"nodev\"\n"                                                                      \
	"\t\t\t]\n"                                                                                \
	"\t\t},\n"                                                                                 \
	"\t\t{\n"                                                                                  \
	"\t\t\t\"destination\": \"/sys\",\n"                                                       \
	"\t\t\t\"type\": \"sysfs\",\n"                                                             \
	"\t\t\t\"source\": \"sysfs\",\n"                                                           \
	"\t\t\t\"options\": [\n"                                                                   \
	"\t\t\t\t\"nosuid\",\n"                                                                    \
	"\t\t\t\t\"noexec\",\n"                                                                    \
	"\t\t\t\t\"nodev\",\n"                                                                     \
	"\t\t\t\t\"ro\"\n"                                                                         \
	"\t\t\t]\n"                                                                                \
	"\t\t},\n"                                                                                 \
	"\t\t{\n"                                                                                  \
	"\t\t\t\"destination\": \"/sys/fs/cgroup\",\n"                                             \
	"\t\t\t\"type\": \"cgroup\",\n"                                                            \
	"\t\t\t\"source\": \"cgroup\",\n"                                                          \
	"\t\t\t\"options\": [\n"                                                                   \
	"\t\t\t\t\"nosuid\",\n"                                                                    \
	"\t\t\t\t\"noexec\",\n"                                                                    \
	"\t\t\t\t\"nodev\",\n"                                                                     \
	"\t\t\t\t\"relatime\",\n"                                                                  \
	"\t\t\t\t\"ro\"\n"                                                                         \
	"\t\t\t]\n"                                                                                \
	"\t\t}\n"                                                                                  \
	"\t],\n"                                                                                   \
	"\t\"linux\": {\n" before "\t\t\"namespaces\": [\n"                                        \
	"\t\t\t{\n"                                                                                \
	"\t\t\t\t\"type\": \"pid\"\n"                                                              \
	"\t\t\t},\n"                                                                               \
	"\t\t\t{\n"                                                                                \
	"\t\t\t\t\"type\": \"network\"\n"                                                          \
	"\t\t\t},\n"                                                                               \
	"\t\t\t{\n"                                                                                \
	"\t\t\t\t\"type\": \"ipc\"\n"                                                              \
	"\t\t\t},\n"                                                                               \
	"\t\t\t{\n"                                                                                \
	"\t\t\t\t\"type\": \"uts\"\n"                                                              \
	"\t\t\t},\n"                                                                               \
	"\t\t\t{\n"                                                                                \
	"\t\t\t\t\"type\": \"mount\"\n"                                                            \
	"\t\t\t}" namespaces "\n"                                                                  \
	"\t\t],\n"                                                                                 \
	"\t\t\"maskedPaths\": [\n"                                                                 \
	"\t\t\t\"/proc/acpi\",\n"                                                                  \
	"\t\t\t\"/proc/asound\",\n"                                                                \
	"\t\t\t\"/proc/kcore\",\n"                                                                 \
	"\t\t\t\"/proc/keys\",\n"                                                                  \
	"\t\t\t\"/proc/latency_stats\",\n"                                                         \
	"\t\t\t\"/proc/timer_list\",\n"                                                            \
	"\t\t\t\"/proc/timer_stats\",\n"                                                           \
	"\t\t\t\"/proc/sched_debug\",\n"                                                           \
	"\t\t\t\"/sys/firmware\",\n"                                                               \
	"\t\t\t\"/proc/scsi\"\n"                                                                   \
	"\t\t],\n"                                                                                 \
	"\t\t\"readonlyPaths\": [\n"                                                               \
	"\t\t\t\"/proc/bus\",\n"                                                                   \
	"\t\t\t\"/proc/fs\",\n"                                                                    \
	"\t\t\t\"/proc/irq\",\n"                                                                   \
	"\t\t\t\"/proc/sys\",\n"                                                                   \
	"\t\t\t\"/proc/sysrq-trigger\"\n"                                                          \
	"\t\t]\n"                                                                                  \
	"\t}\n"                                                                                    \
	"}"

#define RESOURCES                                                                                  \
	"\t\t\"resources\": {\n"                                                                   \
	"\t\t\t\"devices\": [\n"                                                                   \
	"\t\t\t\t{\n"                                                                              \
	"\t\t\t\t\t\"allow\": false,\n"                                                            \
	"\t\t\t\t\t\"access\": \"rwm\"\n"                                                          \
	"\t\t\t\t}\n"                                                                              \
	"\t\t\t]\n"                                                                                \
	"\t\t},\n"

#define MAPPING(name)                                                                              \
	"\t\t\"" name "\": [\n"                                                                    \
	"\t\t\t{\n"                                                                                \
	"\t\t\t\t\"containerID\": 0,\n"                                                            \
	"\t\t\t\t\"hostID\": %u,\n"                                                                \
	"\t\t\t\t\"size\": 1\n"                                                                    \
	"\t\t\t}\n"                                                                                \
	"\t\t],\n"

#define USER_NAMESPACE                                                                             \
	",\n"                                                                                      \
	"\t\t\t{\n"                                                                                \
	"\t\t\t\t\"type\": \"user\"\n"                                                             \
	"\t\t\t}"

const char *oci_default_spec(void)
{
	return TEXT(",\n\t\t\t\t\"gid=5\"", RESOURCES, "");
}

/*
 * As runc: one user is mapped, so that there is no group tty, and limits need rights. Not as runc:
 * /sys and the network need no sharing with the host where they are the guest's.
 */
int oci_rootless_spec(char *buf, size_t size, unsigned uid, unsigned gid)
{
	int n = snprintf(buf, size,
			 TEXT("", MAPPING("uidMappings") MAPPING("gidMappings"), USER_NAMESPACE),
			 uid, gid);

	return n < 0 || (size_t)n >= size ? -1 : 0;
}
