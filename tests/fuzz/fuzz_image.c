// SPDX-License-Identifier: Apache-2.0
/* Kernels and kernel modules from anywhere: neither parser may read outside the file. */
#include "image/kernel_image.h"
#include "image/ko.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct img_ko ko = {.name = "fuzz", .data = (void *)data, .len = size};
	struct img_kernel kernel;

	(void)img_ko_read(&ko, NULL);
	if (img_kernel_read(data, size, &kernel, NULL) == 0)
		img_kernel_free(&kernel);
	return 0;
}
