/* SPDX-License-Identifier: Apache-2.0 */
/* A guest kernel whose first instructions ask for a reset: the end of the start. PVH entry. */
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long _start

	.text
	.code32
	.globl _start
_start:
	movb $0xfe, %al
	outb %al, $0x64
1:	hlt
	jmp 1b

	.section .note.GNU-stack, "", @progbits
