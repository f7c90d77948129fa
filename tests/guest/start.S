/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of the tiny guests: PVH (32-bit, %ebx = hvm_start_info), Linux's 64-bit (%rsi =
 * boot_params), and the trampoline of other vCPUs (16-bit, copied to TRAMPOLINE).
 */
#include "guest.h"

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long pvh_start

	.section .data
	.balign 4096
pml4:	.quad pdpt + 3
	.fill 511, 8, 0
pdpt:	.quad pd + 3, pd + 0x1003, pd + 0x2003, pd + 0x3003
	.fill 508, 8, 0
pd:					/* 4 GiB in pages of 2 MiB */
	.set page, 0
	.rept 2048
	.quad (page << 21) + 0x83
	.set page, page + 1
	.endr
gdt:	.quad 0, 0
	.quad 0x00af9b000000ffff	/* 0x10: 64-bit code */
	.quad 0x00cf93000000ffff	/* 0x18: data */
	.quad 0x00cf9b000000ffff	/* 0x20: 32-bit code */
gdt_pointer:
	.word . - gdt - 1
	.quad gdt

	.section .bss
	.balign 16
	.skip 8192
stack:	.skip 8192
ap_stack:

	.text
	.code32
	.globl pvh_start
pvh_start:
	movl %ebx, %esi
	xorl %edi, %edi
	movl $stack, %esp
enter_long_mode:			/* %edi, %esi: arguments; %esp: stack */
	lgdt gdt_pointer
	movl $0x20, %eax		/* CR4.PAE */
	movl %eax, %cr4
	movl $pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx		/* EFER.LME */
	movl $0x100, %eax
	xorl %edx, %edx
	wrmsr
	movl $0x80000011, %eax		/* CR0.PG, ET, PE */
	movl %eax, %cr0
	ljmp $0x10, $long_mode

	.code64
	.globl _start
_start:
	movl $1, %edi
	movl $stack, %esp
long_mode:
	movl $0x18, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	cmpl $2, %edi
	je 1f
	call guest_main
1:	call guest_ap_main
	ud2

	/* Other vCPUs start here, at TRAMPOLINE. */
	.globl trampoline, trampoline_end
	.code16
trampoline:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	lgdtl TRAMPOLINE + (trampoline_gdt - trampoline)
	movl $0x11, %eax
	movl %eax, %cr0
	ljmpl $0x20, $ap_start
trampoline_gdt:
	.word 5 * 8 - 1
	.long gdt
trampoline_end:

	.code32
ap_start:
	movl $0x18, %eax
	movl %eax, %ds
	movl %eax, %ss
	movl $2, %edi
	movl $ap_stack, %esp
	jmp enter_long_mode

	.section .note.GNU-stack, "", @progbits
