/* Switching stacks on x86-64, System V calling convention: what kolk_stack_make and kolk_stack_switch of fiber.hh promise.
 *
 * A stack that was left looks like this, from sp upwards:
 *
 *      0  MXCSR (4), x87 control word (2), unused (2)
 *      8  r15, r14, r13, r12, rbx, rbp
 *     56  where to continue
 *
 * MXCSR is loaded always: comparing it first would make a branch wait for the store, which takes longer. Its status bits come
 * along, which does no harm: they need not survive a call. The x87 control word is loaded only when it differs, because on some
 * processors that empties the pipeline.
 *
 * Continuing by a jump rather than a return: a return is predicted to go where the latest call came from, which between a fiber and
 * whoever drives it is never right. It is right when both sides stopped at the same place, with the returns that follow: there
 * kolk_stack_switch_alike returns. The jump goes behind a call, where no endbr64 stands, hence notrack. */

#define FRAME 64

        .intel_syntax noprefix
        .text

        .globl  kolk_stack_make
        .hidden kolk_stack_make
        .type   kolk_stack_make, @function
        .p2align 4
kolk_stack_make:                        /* rdi low, rsi high, rdx entry, rcx argument */
        .cfi_startproc
        endbr64
        and     rsi, -16
        lea     rax, [rsi - FRAME]
        lea     r8, [rip + stack_entry]
        stmxcsr [rax]
        fnstcw  [rax + 4]
        mov     [rax + 32], rcx         /* r12 */
        mov     [rax + 40], rdx         /* rbx */
        mov     qword ptr [rax + 48], 0 /* rbp: debuggers that follow frame pointers end here */
        mov     [rax + 56], r8
        ret
        .cfi_endproc
        .size   kolk_stack_make, . - kolk_stack_make

        .macro  SWITCH name, alike
        .globl  \name
        .hidden \name
        .type   \name, @function
        .p2align 4
\name:                                  /* rdi where to store sp, rsi sp to continue at */
        .cfi_startproc
        endbr64
        lea     rsp, [rsp - 56]
        .cfi_adjust_cfa_offset 56
        stmxcsr [rsp]
        fnstcw  [rsp + 4]
        mov     [rsp + 8], r15
        .cfi_rel_offset r15, 8
        mov     [rsp + 16], r14
        .cfi_rel_offset r14, 16
        mov     [rsp + 24], r13
        .cfi_rel_offset r13, 24
        mov     [rsp + 32], r12
        .cfi_rel_offset r12, 32
        mov     [rsp + 40], rbx
        .cfi_rel_offset rbx, 40
        mov     [rsp + 48], rbp
        .cfi_rel_offset rbp, 48
        mov     [rdi], rsp

        movzx   ecx, word ptr [rsp + 4] /* not wider than it was written: that would have to wait for the store */
        mov     rsp, rsi                /* the same layout, so that the unwinder needs no word of this */
        ldmxcsr [rsp]
        cmp     cx, [rsp + 4]
        jne     .Lload_x87_\@
.Lx87_loaded_\@:
        mov     r15, [rsp + 8]
        mov     r14, [rsp + 16]
        mov     r13, [rsp + 24]
        mov     r12, [rsp + 32]
        mov     rbx, [rsp + 40]
        mov     rbp, [rsp + 48]
        .if     \alike
        .cfi_remember_state
        .else
        mov     rdx, [rsp + 56]
        .cfi_remember_state
        .cfi_register rip, rdx
        .endif
        .cfi_restore r15
        .cfi_restore r14
        .cfi_restore r13
        .cfi_restore r12
        .cfi_restore rbx
        .cfi_restore rbp
        .if     \alike
        lea     rsp, [rsp + 56]
        .cfi_def_cfa_offset 8
        ret
        .else
        lea     rsp, [rsp + 64]
        .cfi_def_cfa_offset 0
        notrack jmp rdx
        .endif
        .cfi_restore_state
.Lload_x87_\@:
        fldcw   [rsp + 4]
        jmp     .Lx87_loaded_\@
        .cfi_endproc
        .size   \name, . - \name
        .endm

        SWITCH  kolk_stack_switch, 0
        SWITCH  kolk_stack_switch_alike, 1

        /* The outermost frame of every stack made here. */
        .type   stack_entry, @function
        .p2align 4
stack_entry:                            /* rbx entry, r12 argument */
        .cfi_startproc
        .cfi_undefined rip
        endbr64
        mov     rdi, r12
        call    rbx
        ud2
        .cfi_endproc
        .size   stack_entry, . - stack_entry

        .section .note.GNU-stack, "", @progbits

        /* Announces indirect branch tracking. Not shadow stacks: one would have to be switched too, and as long as this is
         * not announced the C library leaves them off. */
        .section .note.gnu.property, "a", @note
        .p2align 3
        .long   4, 16, 5                /* sizes of name and description; NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000002, 4, 1, 0     /* GNU_PROPERTY_X86_FEATURE_1_AND: IBT */
