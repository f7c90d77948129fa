/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4), for checksums of image files. Not for secrets: it makes no attempt at
 * constant time. */
#ifndef RSM_IMAGE_SHA256_H
#define RSM_IMAGE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define IMG_SHA256_BYTES    32
#define IMG_SHA256_HEX_SIZE (2 * IMG_SHA256_BYTES + 1)

struct img_sha256 {
	uint32_t h[8];
	uint64_t bytes;
	uint8_t block[64]; /* the bytes % 64 last ones, not yet hashed */
};

void img_sha256_init(struct img_sha256 *s);
void img_sha256_update(struct img_sha256 *s, const void *data, size_t len);
/* Lower-case hexadecimal, NUL-terminated. @s is used up. */
void img_sha256_hex(struct img_sha256 *s, char ret[IMG_SHA256_HEX_SIZE]);

/* Of everything from the file's start; the file offset is not used. Return: 0 or -errno */
int img_sha256_fd(int fd, char ret[IMG_SHA256_HEX_SIZE], uint64_t *ret_bytes);

#endif
