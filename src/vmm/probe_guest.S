/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe's guest: 64-bit mode, ring 0, identity-mapped. Position-independent.
 *
 * Before each step it says which one comes, so that the host knows what failed. Nothing
 * but int3 has a handler: any other exception ends in a triple fault.
 *
 * In: %edi is not zero if XSAVE may be tried.
 */
#include "vmm/probe_guest.h"

	.section .rodata
	.globl probe_guest_start, probe_guest_int3, probe_guest_end
	.hidden probe_guest_start, probe_guest_int3, probe_guest_end
	.balign 16
	.code64

	.macro step number
	movb $\number, PROBE_STEP
	.endm

	.macro tell number
	step \number
	movb $\number, %al
	outb %al, $PROBE_PORT
	.endm

probe_guest_start:
	movl $PROBE_LOOP_ROUNDS, %ebx
1:	tell PROBE_STEP_LOOP
	movl $PROBE_LOOP_COUNT, %ecx
2:	decl %ecx
	jnz 2b
	tell PROBE_STEP_LOOP_END
	decl %ebx
	jnz 1b

	step PROBE_STEP_CMPXCHG16B
	movl $PROBE_XSAVE, %esi
	xorl %eax, %eax
	xorl %edx, %edx
	xorl %ebx, %ebx
	xorl %ecx, %ecx
	lock cmpxchg16b (%rsi)
	jnz fail

	testl %edi, %edi
	jz 3f
	step PROBE_STEP_XSAVE
	xorl %ecx, %ecx
	movl $3, %eax
	xorl %edx, %edx
	xsetbv
	xsave (%rsi)
	xrstor (%rsi)

3:	step PROBE_STEP_INT3
	xorl %ebp, %ebp
	int3
	cmpl $1, %ebp
	jne fail
	tell PROBE_STEP_DONE
fail:	outb %al, $PROBE_PORT_FAIL
	jmp fail

probe_guest_int3:
	incl %ebp
	iretq
probe_guest_end:

	.section .note.GNU-stack, "", @progbits
