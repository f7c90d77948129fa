// SPDX-License-Identifier: Apache-2.0
/*
 * The dispatch table: one row for every request that is served. What a row says is checked before
 * its function runs: that the session is initialised, that the request is long enough, that the
 * reply fits.
 */
#include "fuse/session.h"

#include "base/math.h"

#define IN(type)  sizeof(struct fuse_##type##_in)
#define OUT(type) sizeof(struct fuse_##type##_out)
/* at least one character and its NUL, or just the NUL: an empty name is refused by name */
#define NAME      1

/* clang-format off */
static const struct fsrv_opcode opcodes[] = {
	[FUSE_LOOKUP]	   = { fsrv_op_lookup, "LOOKUP", NAME, OUT(entry), 0 },
	[FUSE_FORGET]	   = { fsrv_op_forget, "FORGET", IN(forget), 0, FSRV_NOREPLY },
	[FUSE_GETATTR]	   = { fsrv_op_getattr, "GETATTR", IN(getattr), OUT(attr), 0 },
	[FUSE_SETATTR]	   = { fsrv_op_setattr, "SETATTR", IN(setattr), OUT(attr), 0 },
	[FUSE_READLINK]	   = { fsrv_op_readlink, "READLINK", 0, 0, FSRV_DIRECT },
	[FUSE_SYMLINK]	   = { fsrv_op_symlink, "SYMLINK", NAME + NAME, OUT(entry), 0 },
	[FUSE_MKNOD]	   = { fsrv_op_mknod, "MKNOD", IN(mknod) + NAME, OUT(entry), 0 },
	[FUSE_MKDIR]	   = { fsrv_op_mkdir, "MKDIR", IN(mkdir) + NAME, OUT(entry), 0 },
	[FUSE_UNLINK]	   = { fsrv_op_unlink, "UNLINK", NAME, 0, 0 },
	[FUSE_RMDIR]	   = { fsrv_op_rmdir, "RMDIR", NAME, 0, 0 },
	[FUSE_RENAME]	   = { fsrv_op_rename, "RENAME", IN(rename) + NAME + NAME, 0, 0 },
	[FUSE_LINK]	   = { fsrv_op_link, "LINK", IN(link) + NAME, OUT(entry), 0 },
	[FUSE_OPEN]	   = { fsrv_op_open, "OPEN", IN(open), OUT(open), 0 },
	[FUSE_READ]	   = { fsrv_op_read, "READ", IN(read), 0, FSRV_DIRECT | FSRV_PAYLOAD },
	[FUSE_WRITE]	   = { fsrv_op_write, "WRITE", IN(write), OUT(write), FSRV_PAYLOAD },
	[FUSE_STATFS]	   = { fsrv_op_statfs, "STATFS", 0, OUT(statfs), 0 },
	[FUSE_RELEASE]	   = { fsrv_op_release, "RELEASE", IN(release), 0, 0 },
	[FUSE_FSYNC]	   = { fsrv_op_fsync, "FSYNC", IN(fsync), 0, FSRV_SLOW },
	[FUSE_SETXATTR]	   = { fsrv_op_setxattr, "SETXATTR", FSRV_SETXATTR_IN_OLD + NAME, 0, FSRV_BIG },
	[FUSE_GETXATTR]	   = { fsrv_op_getxattr, "GETXATTR", IN(getxattr) + NAME, 0, FSRV_DIRECT },
	[FUSE_LISTXATTR]   = { fsrv_op_listxattr, "LISTXATTR", IN(getxattr), 0, FSRV_DIRECT },
	[FUSE_REMOVEXATTR] = { fsrv_op_removexattr, "REMOVEXATTR", NAME, 0, 0 },
	[FUSE_FLUSH]	   = { fsrv_op_flush, "FLUSH", IN(flush), 0, 0 },
	[FUSE_INIT]	   = { fsrv_op_init, "INIT", FSRV_INIT_IN_OLD, OUT(init), FSRV_ANYTIME },
	[FUSE_OPENDIR]	   = { fsrv_op_opendir, "OPENDIR", IN(open), OUT(open), 0 },
	[FUSE_READDIR]	   = { fsrv_op_readdir, "READDIR", IN(read), 0, FSRV_DIRECT },
	[FUSE_RELEASEDIR]  = { fsrv_op_releasedir, "RELEASEDIR", IN(release), 0, 0 },
	[FUSE_FSYNCDIR]	   = { fsrv_op_fsyncdir, "FSYNCDIR", IN(fsync), 0, FSRV_SLOW },
	[FUSE_GETLK]	   = { fsrv_op_getlk, "GETLK", IN(lk), OUT(lk), 0 },
	[FUSE_SETLK]	   = { fsrv_op_setlk, "SETLK", IN(lk), 0, 0 },
	[FUSE_SETLKW]	   = { fsrv_op_setlkw, "SETLKW", IN(lk), 0, FSRV_SLOW },
	[FUSE_ACCESS]	   = { fsrv_op_access, "ACCESS", IN(access), 0, 0 },
	[FUSE_CREATE]	   = { fsrv_op_create, "CREATE", IN(create) + NAME, OUT(entry) + OUT(open), 0 },
	[FUSE_INTERRUPT]   = { fsrv_op_interrupt, "INTERRUPT", IN(interrupt), 0, FSRV_NOREPLY },
	[FUSE_DESTROY]	   = { fsrv_op_destroy, "DESTROY", 0, 0, FSRV_ANYTIME },
	[FUSE_BATCH_FORGET] = { fsrv_op_batch_forget, "BATCH_FORGET", IN(batch_forget), 0,
				FSRV_NOREPLY | FSRV_PAYLOAD },
	[FUSE_FALLOCATE]   = { fsrv_op_fallocate, "FALLOCATE", IN(fallocate), 0, FSRV_SLOW },
	[FUSE_READDIRPLUS] = { fsrv_op_readdirplus, "READDIRPLUS", IN(read), 0, FSRV_DIRECT },
	[FUSE_RENAME2]	   = { fsrv_op_rename2, "RENAME2", IN(rename2) + NAME + NAME, 0, 0 },
	[FUSE_LSEEK]	   = { fsrv_op_lseek, "LSEEK", IN(lseek), OUT(lseek), 0 },
	[FUSE_COPY_FILE_RANGE] = { fsrv_op_copy_file_range, "COPY_FILE_RANGE", IN(copy_file_range),
				   OUT(write), FSRV_SLOW },
	[FUSE_SETUPMAPPING] = { fsrv_op_setupmapping, "SETUPMAPPING", IN(setupmapping), 0, 0 },
	[FUSE_REMOVEMAPPING] = { fsrv_op_removemapping, "REMOVEMAPPING", IN(removemapping), 0, FSRV_PAYLOAD },
	[FUSE_SYNCFS]	   = { fsrv_op_syncfs, "SYNCFS", IN(syncfs), 0, FSRV_SLOW },
	[FUSE_TMPFILE]	   = { fsrv_op_tmpfile, "TMPFILE", IN(create), OUT(entry) + OUT(open), 0 },
	[FUSE_STATX]	   = { fsrv_op_statx, "STATX", IN(statx), OUT(statx), 0 },
};
/* clang-format on */

const struct fsrv_opcode *fsrv_opcode(uint32_t opcode)
{
	if (opcode >= RSM_ARRAY_SIZE(opcodes) || !opcodes[opcode].fn)
		return NULL;
	return &opcodes[opcode];
}

bool fsrv_is_slow(uint32_t opcode)
{
	const struct fsrv_opcode *op = fsrv_opcode(opcode);

	return op && (op->flags & FSRV_SLOW);
}
