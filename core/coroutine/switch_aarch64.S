/* Switching stacks on aarch64, AAPCS64: what kolk_stack_make and kolk_stack_switch of fiber.hh promise.
 *
 * A stack that was left looks like this, from sp upwards:
 *
 *      0  x19 … x28
 *     80  x29 (frame pointer), x30 (where to continue)
 *     96  d8 … d15: the callee keeps the lower halves of v8 … v15
 *    160  FPCR, unused
 *
 * FPCR is stored always but loaded only when it differs, because loading it may empty the pipeline. */

#define FRAME 176

        .text

        .globl  kolk_stack_make
        .hidden kolk_stack_make
        .type   kolk_stack_make, %function
        .p2align 4
kolk_stack_make:                        /* x0 low, x1 high, x2 entry, x3 argument */
        .cfi_startproc
        hint    #34                     /* bti c, also for assemblers that do not know it */
        and     x1, x1, #-16
        sub     x0, x1, #FRAME
        adr     x4, stack_entry
        mrs     x5, fpcr
        stp     x2, x3, [x0]            /* x19, x20 */
        stp     xzr, x4, [x0, #80]      /* debuggers that follow frame pointers end here */
        str     x5, [x0, #160]
        ret
        .cfi_endproc
        .size   kolk_stack_make, . - kolk_stack_make

        .globl  kolk_stack_switch
        .hidden kolk_stack_switch
        .type   kolk_stack_switch, %function
        .p2align 4
kolk_stack_switch:                      /* x0 where to store sp, x1 sp to continue at */
        .cfi_startproc
        hint    #34
        sub     sp, sp, #FRAME
        .cfi_def_cfa_offset FRAME
        stp     x19, x20, [sp]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        mrs     x3, fpcr
        str     x3, [sp, #160]
        .cfi_offset x19, -176
        .cfi_offset x20, -168
        .cfi_offset x21, -160
        .cfi_offset x22, -152
        .cfi_offset x23, -144
        .cfi_offset x24, -136
        .cfi_offset x25, -128
        .cfi_offset x26, -120
        .cfi_offset x27, -112
        .cfi_offset x28, -104
        .cfi_offset x29, -96
        .cfi_offset x30, -88
        .cfi_offset b8, -80
        .cfi_offset b9, -72
        .cfi_offset b10, -64
        .cfi_offset b11, -56
        .cfi_offset b12, -48
        .cfi_offset b13, -40
        .cfi_offset b14, -32
        .cfi_offset b15, -24
        mov     x2, sp
        str     x2, [x0]
        mov     sp, x1                  /* the same layout, so that the unwinder needs no word of this */
        ldr     x4, [sp, #160]
        cmp     x3, x4
        b.ne    .Lload_fpcr
.Lfpcr_loaded:
        ldp     x19, x20, [sp]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        add     sp, sp, #FRAME
        .cfi_remember_state
        .cfi_def_cfa_offset 0
        .cfi_restore x19
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x22
        .cfi_restore x23
        .cfi_restore x24
        .cfi_restore x25
        .cfi_restore x26
        .cfi_restore x27
        .cfi_restore x28
        .cfi_restore x29
        .cfi_restore x30
        .cfi_restore b8
        .cfi_restore b9
        .cfi_restore b10
        .cfi_restore b11
        .cfi_restore b12
        .cfi_restore b13
        .cfi_restore b14
        .cfi_restore b15
        ret
        .cfi_restore_state
.Lload_fpcr:
        msr     fpcr, x4
        b       .Lfpcr_loaded
        .cfi_endproc
        .size   kolk_stack_switch, . - kolk_stack_switch

        /* One way is as good as the other as far as is known. */
        .globl  kolk_stack_switch_alike
        .hidden kolk_stack_switch_alike
        .set    kolk_stack_switch_alike, kolk_stack_switch

        /* The outermost frame of every stack made here. Reached by a return, so it needs no landing pad. */
        .type   stack_entry, %function
        .p2align 4
stack_entry:                            /* x19 entry, x20 argument */
        .cfi_startproc
        .cfi_undefined x30
        mov     x0, x20
        blr     x19
        brk     #1
        .cfi_endproc
        .size   stack_entry, . - stack_entry

        .section .note.GNU-stack, "", %progbits

        /* Announces branch target identification. Return addresses are not signed here. */
        .section .note.gnu.property, "a", %note
        .p2align 3
        .long   4, 16, 5                /* sizes of name and description; NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000000, 4, 1, 0     /* GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI */
