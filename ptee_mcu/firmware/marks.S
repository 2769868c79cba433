/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where counting stops and goes on, to the instruction. The counting plugin knows the labels and leaves out
 * every instruction from a stopping label to the next going-on label, both included; each label starts a block of its
 * own because a branch leads to it. Without a plugin these are plain calls.
 */
    .syntax unified
    .thumb
    .text

/* ptee_status ptee_counted_call(void *context, const void *argument, function): function(context, argument) */
    .section .text.ptee_counted_call, "ax", %progbits
    .balign 4
    .global ptee_counted_call
    .thumb_func
    .type ptee_counted_call, %function
ptee_counted_call:
    push {r4, lr}
    ldr r3, =ptee_counted_stack
    mov r4, sp
    str r4, [r3]
    b ptee_count_start
    .global ptee_count_start
    .thumb_func
    .type ptee_count_start, %function
ptee_count_start:
    blx r2
    .global ptee_count_stop
    .thumb_func
    .type ptee_count_stop, %function
ptee_count_stop:
    pop {r4, pc}
    .ltorg
    .size ptee_counted_call, . - ptee_counted_call

/* The stack pointer at the last counted call. */
    .section .bss.ptee_counted_stack, "aw", %nobits
    .balign 4
    .global ptee_counted_stack
    .type ptee_counted_stack, %object
ptee_counted_stack:
    .space 4
    .size ptee_counted_stack, 4

/* void ptee_trace_op(uint32_t index, const int8_t *data, uint32_t nbytes) */
    .section .text.ptee_trace_op, "ax", %progbits
    .balign 4
    .global ptee_trace_op
    .thumb_func
    .type ptee_trace_op, %function
ptee_trace_op:
    push {r4, lr}
    bl ptee_record_op
    pop {r4}
    pop {r3}
    mov lr, r3
    b ptee_count_resume
    .global ptee_count_resume
    .thumb_func
    .type ptee_count_resume, %function
ptee_count_resume:
    bx lr
    .size ptee_trace_op, . - ptee_trace_op
