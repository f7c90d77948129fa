// SPDX-License-Identifier: Apache-2.0
#include "fuse/pt.h"

void pt_plocks_free(struct pt_inode *inode)
{
}
