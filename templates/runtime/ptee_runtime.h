/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run-time library of generated networks: one read-only descriptor and one function per kind of layer.
 *
 * Arithmetic contract ptee.int8.v1. No heap, no floating point, no mutable globals: every function works on the memory
 * it is given and is re-entrant. Feature maps are int8, NHWC, batch 1. real = scale * (code - zero_point).
 * input_offset is -zero_point of the input, output_offset the zero point of the output, as in CMSIS-NN.
 *
 * Functions that take `scratch` call CMSIS-NN: output may overlap input only as the plan lays it, which minds the order
 * in which a kernel reads and writes. scratch (aligned to 4 bytes, NULL where scratch_bytes is 0) is overwritten. They
 * return PTEE_OK, or PTEE_KERNEL if CMSIS-NN refused.
 */
#ifndef PTEE_RUNTIME_H
#define PTEE_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef CMSIS_NN_USE_SINGLE_ROUNDING
#error "contract ptee.int8.v1 rounds twice: do not define CMSIS_NN_USE_SINGLE_ROUNDING"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define PTEE_CONTRACT "ptee.int8.v1"

/*
 * Puts an object into the linker section `name`: where a plan asks for a memory. Sections have a meaning on a
 * microcontroller; a host has one memory. Define it for a compiler with another spelling.
 */
#ifndef PTEE_SECTION
#if defined(__ELF__) && defined(__arm__)
#define PTEE_SECTION(name) __attribute__((section(name)))
#else
#define PTEE_SECTION(name)
#endif
#endif

/* Alignment in bytes of the arena and of every scratch buffer in it. */
#define PTEE_ARENA_ALIGN 16

/*
 * A debug build defines PTEE_GUARD for library and application: NAME_ARENA_BYTES then has room for so many guard bytes
 * at each end of the arena, which every step checks.
 */
#ifdef PTEE_GUARD
#define PTEE_GUARD_BYTES 16
#else
#define PTEE_GUARD_BYTES 0
#endif

typedef enum {
    PTEE_OK = 0,            /* done, nothing to add */
    PTEE_CONTINUE,          /* the segment ran and its exit did not fire */
    PTEE_DONE,              /* an exit fired: the result is valid */
    PTEE_YIELD,             /* an op ran, and its segment has more of them */
    PTEE_DEADLINE,          /* the next segment does not fit the budget: the result is the best so far */
    PTEE_NO_INPUT,          /* run or step before an input was given */
    PTEE_NULL,              /* an argument is NULL */
    PTEE_ARENA_TOO_SMALL,   /* fewer bytes than the plan needs */
    PTEE_ARENA_MISALIGNED,  /* not a multiple of PTEE_ARENA_ALIGN */
    PTEE_SCRATCH_TOO_SMALL, /* the linked CMSIS-NN wants more scratch than was planned */
    PTEE_KERNEL,            /* a CMSIS-NN function did not return success */
    PTEE_BAD_EXIT,          /* no such exit, or an exit without a threshold */
    PTEE_BAD_THRESHOLD,     /* outside the range of the exit's rule */
    PTEE_ENDED,             /* a step after the end; give a new input first */
    PTEE_NOT_INITIALIZED,   /* init was not called, or failed */
    PTEE_BAD_POINT,         /* no such operating point */
    PTEE_REENTERED,         /* called while another call with this context was inside: from an interrupt */
    PTEE_STAGE_TOO_SMALL,   /* fewer bytes than the plan stages */
    PTEE_STAGE_MISALIGNED,  /* not a multiple of NAME_STAGE_ALIGN */
    PTEE_CORRUPT,           /* a constant, or a pointer in the context, is not what it was */
    PTEE_GUARD_BROKEN,      /* bytes beside the arena were overwritten; only with PTEE_GUARD */
    PTEE_NO_ANSWER,         /* no exit was evaluated yet, or there is no answer to audit */
    PTEE_STUCK_COUNTER      /* the counter did not move while a whole segment ran */
} ptee_status;

/* True where `status` is an error: the first five are not. */
static inline bool ptee_failed(ptee_status status)
{
    return status > PTEE_DEADLINE;
}

/* A counter: up, modulo 2^32, in the unit in which an application counts time, such as cycles. */
typedef uint32_t (*ptee_now_t)(void);

/* A constant English sentence for `status`, without a full stop. */
const char *ptee_status_text(ptee_status status);

/* Convolution with groups = 1. Padding at the bottom and right follows from the output size. */
typedef struct {
    const int8_t *weights;     /* [output_c][kernel_h][kernel_w][input_c] */
    const int32_t *bias;       /* [output_c] */
    const int32_t *multiplier; /* [output_c] */
    const int32_t *shift;      /* [output_c], positive shifts left */
    uint32_t scratch_bytes;    /* what was planned for scratch */
    uint16_t input_h, input_w, input_c;
    uint16_t output_h, output_w, output_c;
    int16_t input_offset; /* -127..128 */
    int8_t output_offset;
    int8_t act_min, act_max;
    uint8_t kernel_h, kernel_w;
    uint8_t stride_h, stride_w;
    uint8_t padding_h, padding_w; /* top, left */
    uint8_t dilation_h, dilation_w;
} ptee_conv2d_t;

ptee_status ptee_conv2d(const ptee_conv2d_t *op, const int8_t *input, int8_t *output, void *scratch);

/* Bytes of scratch the linked CMSIS-NN asks for: init compares them with op->scratch_bytes. */
int32_t ptee_conv2d_scratch_bytes(const ptee_conv2d_t *op);

/* The same for a 1x1 kernel with stride 1, dilation 1 and no padding: faster there, and needs no scratch. */
ptee_status ptee_pointwise_conv2d(const ptee_conv2d_t *op, const int8_t *input, int8_t *output);

/* Depthwise convolution: output channel o reads input channel o / channel_multiplier. */
typedef struct {
    const int8_t *weights;     /* [kernel_h][kernel_w][output_c] */
    const int32_t *bias;       /* [output_c] */
    const int32_t *multiplier; /* [output_c] */
    const int32_t *shift;      /* [output_c], positive shifts left */
    uint32_t scratch_bytes;
    uint16_t input_h, input_w, input_c;
    uint16_t output_h, output_w, output_c;
    uint16_t channel_multiplier; /* output_c / input_c */
    int16_t input_offset;        /* -127..128 */
    int8_t output_offset;
    int8_t act_min, act_max;
    uint8_t kernel_h, kernel_w;
    uint8_t stride_h, stride_w;
    uint8_t padding_h, padding_w; /* top, left */
    uint8_t dilation_h, dilation_w;
} ptee_depthwise_conv2d_t;

ptee_status ptee_depthwise_conv2d(const ptee_depthwise_conv2d_t *op, const int8_t *input, int8_t *output,
                                  void *scratch);
int32_t ptee_depthwise_conv2d_scratch_bytes(const ptee_depthwise_conv2d_t *op);

/*
 * Fully connected layer with one multiplier for all outputs. `bias` holds the input's offset too: to the bias of a row,
 * input_offset (-127..128) times the sum of its weights is added.
 */
typedef struct {
    const int8_t *weights; /* [output_features][input_features] */
    const int32_t *bias;   /* [output_features] */
    int32_t multiplier;
    uint32_t input_features;
    uint16_t output_features;
    int8_t shift; /* positive shifts left */
    int8_t output_offset;
    int8_t act_min, act_max;
} ptee_fully_connected_t;

ptee_status ptee_fully_connected(const ptee_fully_connected_t *op, const int8_t *input, int8_t *output);

/* The same with a multiplier per output. */
typedef struct {
    const int8_t *weights;     /* [output_features][input_features] */
    const int32_t *bias;       /* [output_features] */
    const int32_t *multiplier; /* [output_features] */
    const int32_t *shift;      /* [output_features], positive shifts left */
    uint32_t input_features;
    uint16_t output_features;
    int8_t output_offset;
    int8_t act_min, act_max;
} ptee_per_channel_fully_connected_t;

ptee_status ptee_per_channel_fully_connected(const ptee_per_channel_fully_connected_t *op, const int8_t *input,
                                             int8_t *output);

/* Maximum and average pooling: scale and zero point pass through; the average leaves padding out of its count. */
typedef struct {
    uint32_t scratch_bytes; /* 0 for the maximum */
    uint16_t input_h, input_w, channels;
    uint16_t output_h, output_w;
    uint16_t kernel_h, kernel_w;
    uint16_t stride_h, stride_w;
    uint16_t padding_h, padding_w; /* top, left */
    int8_t act_min, act_max;
} ptee_pool2d_t;

ptee_status ptee_max_pool2d(const ptee_pool2d_t *op, const int8_t *input, int8_t *output, void *scratch);
ptee_status ptee_avg_pool2d(const ptee_pool2d_t *op, const int8_t *input, int8_t *output, void *scratch);
int32_t ptee_avg_pool2d_scratch_bytes(const ptee_pool2d_t *op);

/* The functions below are our own: they need no scratch and cannot fail. */

/*
 * Element-wise sum of two tensors of one shape, with the arithmetic of arm_elementwise_add_s8 (CMSIS-NN 4.0.0) at
 * left_shift 20. Multipliers are 0 or in [2^30, 2^31), shifts in [-31, 0]: what the scales s_a / 2m, s_b / 2m and
 * 2m / (2^20 s_output), m = max(s_a, s_b), give wherever s_output > 2^-19 m.
 */
typedef struct {
    uint32_t count; /* elements */
    int32_t multiplier_a, multiplier_b, output_multiplier;
    int16_t offset_a, offset_b; /* -zero point, -127..128 */
    int8_t shift_a, shift_b, output_shift;
    int8_t output_offset;
    int8_t act_min, act_max;
} ptee_add_t;

/* output may start at a or b or before them, overlapping either; it must not start inside them. */
void ptee_add(const ptee_add_t *op, const int8_t *a, const int8_t *b, int8_t *output);

/* A function of one element at a time: output[i] = table[(uint8_t)input[i]]. */
typedef struct {
    const int8_t *table; /* [256], the codes for 0 to 127, then those for -128 to -1 */
    uint32_t count;      /* elements */
} ptee_lookup_t;

/* output may start at input or before it, overlapping it; it must not start inside. */
void ptee_lookup(const ptee_lookup_t *op, const int8_t *input, int8_t *output);

/*
 * Element-wise product, with the arithmetic of arm_elementwise_mul_s8 (CMSIS-NN 4.0.0). The second operand is `period`
 * elements, taken again `passes` times: one for two tensors of one shape, h * w for a gate per channel.
 * The multiplier is 0 or in [2^30, 2^31), the shift in [-31, 14].
 */
typedef struct {
    const int8_t *factor; /* [period], the second operand; NULL where it is a tensor */
    uint32_t passes, period;
    int32_t multiplier;
    int16_t offset_a, offset_b; /* -zero point, -127..128 */
    int8_t shift;
    int8_t output_offset;
    int8_t act_min, act_max;
} ptee_mul_t;

/*
 * b is not read where op->factor is given. output may start at a or before it, overlapping it, and with one pass at b
 * or before it; it must not start inside either, nor with several passes overlap b.
 */
void ptee_mul(const ptee_mul_t *op, const int8_t *a, const int8_t *b, int8_t *output);

/*
 * Where value = input + input_offset is not negative, value times multiplier_above; else value times (alpha +
 * alpha_offset) times multiplier_below, with the arithmetic of TensorFlow Lite's PRELU. Multipliers are 0 or in
 * [2^30, 2^31), the shift above zero in [-31, 22], below in [-31, 14].
 */
typedef struct {
    const int8_t *alpha; /* [channels] */
    uint32_t pixels;     /* h * w */
    int32_t multiplier_above, multiplier_below;
    uint16_t channels;
    int16_t input_offset, alpha_offset; /* -zero point, -127..128 */
    int8_t shift_above, shift_below;
    int8_t output_offset;
} ptee_prelu_t;

/* output may start at input or before it, overlapping it; it must not start inside. */
void ptee_prelu(const ptee_prelu_t *op, const int8_t *input, int8_t *output);

/* One input of a concatenation along channels; all inputs and the output have one scale and zero point. */
typedef struct {
    uint32_t pixels; /* h * w */
    uint16_t input_c;
    uint16_t output_c;
    uint16_t first_c; /* where this input starts among the output's channels */
} ptee_concat_t;

/*
 * Writes only the channels [first_c, first_c + input_c) of output: call once per input. The first input may overlap
 * output where that starts (pixels - 1) * (output_c - input_c) + input_c bytes before it, or earlier; others must not.
 */
void ptee_concat(const ptee_concat_t *op, const int8_t *input, int8_t *output);

/* Constant padding of h, w and channels with `fill`, the zero point. */
typedef struct {
    uint16_t input_h, input_w, input_c;
    uint16_t top, bottom, left, right;
    uint16_t front, back; /* channels before and after the input's */
    int8_t fill;
} ptee_pad_t;

/* No overlap of input and output. */
void ptee_pad(const ptee_pad_t *op, const int8_t *input, int8_t *output);

/* output[y][x][c] = input[start_h + y * step_h][start_w + x * step_w][start_c + c]; steps are positive. */
typedef struct {
    uint16_t input_w, input_c;
    uint16_t output_h, output_w, output_c;
    uint16_t start_h, start_w, start_c;
    uint16_t step_h, step_w;
} ptee_slice_t;

/* output may overlap input where it starts output_c bytes before it, or earlier. */
void ptee_slice(const ptee_slice_t *op, const int8_t *input, int8_t *output);

/* The same bytes under another shape. */
typedef struct {
    uint32_t count; /* elements */
} ptee_reshape_t;

/* output may start at input or before it, overlapping it; at input, there is nothing to do. */
void ptee_reshape(const ptee_reshape_t *op, const int8_t *input, int8_t *output);

/* Every pixel as a block of scale_h x scale_w pixels. */
typedef struct {
    uint16_t input_h, input_w, channels;
    uint16_t scale_h, scale_w;
} ptee_resize_t;

/* output may overlap input where it starts its own bytes less all lines of input but one before it, or earlier. */
void ptee_resize(const ptee_resize_t *op, const int8_t *input, int8_t *output);

/*
 * Mean of each channel over all pixels: `offset` is -zero point times pixels, multiplier and shift stand for
 * scale_in / (scale_out * pixels); shift lies in [-31, 30] and shifts left where it is positive.
 */
typedef struct {
    uint32_t pixels; /* h * w */
    int32_t offset;
    int32_t multiplier;
    uint16_t channels;
    int8_t shift;
    int8_t output_offset;
} ptee_mean_t;

/* output may start at input or before it, overlapping it. */
void ptee_mean(const ptee_mean_t *op, const int8_t *input, int8_t *output);

/*
 * Transposed convolution: input pixel (y, x) adds to output (y * stride_h + i - padding_h, x * stride_w + j - padding_w)
 * its products with tap (i, j). What lies outside the output is left out.
 */
typedef struct {
    const int8_t *weights;     /* [output_c][kernel_h][kernel_w][input_c] */
    const int32_t *bias;       /* [output_c] */
    const int32_t *multiplier; /* [output_c] */
    const int32_t *shift;      /* [output_c], positive shifts left */
    uint16_t input_h, input_w, input_c;
    uint16_t output_h, output_w, output_c;
    int16_t input_offset; /* -127..128 */
    int8_t output_offset;
    int8_t act_min, act_max;
    uint8_t kernel_h, kernel_w;
    uint8_t stride_h, stride_w;
    uint8_t padding_h, padding_w; /* top, left */
} ptee_transposed_conv2d_t;

/* No overlap of input and output. */
void ptee_transposed_conv2d(const ptee_transposed_conv2d_t *op, const int8_t *input, int8_t *output);

/* Pixels to codes through one 256-entry table per channel: output[p][c] = tables[c][pixels[p][c]]. */
typedef struct {
    const int8_t *tables; /* [channels][256] */
    uint32_t pixels;      /* h * w */
    uint16_t channels;
} ptee_lookup_u8_t;

void ptee_lookup_u8(const ptee_lookup_u8_t *op, const uint8_t *pixels, int8_t *output);

/* Constants that are copied into a stage: where their bytes are, where in the stage they go. */
typedef struct {
    const int8_t *bytes;
    uint32_t offset;
    uint32_t nbytes;
} ptee_copy_t;

/* What one part of a network needs in its stage. */
typedef struct {
    const ptee_copy_t *copies;
    uint32_t count;
} ptee_image_t;

/* A stage and the image whose copies were begun and not waited for, NULL where there is none. */
typedef struct {
    int8_t *bytes;
    const ptee_image_t *begun;
} ptee_stage_t;

/* Begins the copies of `image`. */
void ptee_stage_begin(ptee_stage_t *stage, const ptee_image_t *image);

/* Returns when `image` is in the stage, begun or not. */
void ptee_stage_wait(ptee_stage_t *stage, const ptee_image_t *image);

/* Abandons what was begun; afterwards nothing writes to the stage. */
void ptee_stage_abandon(ptee_stage_t *stage);

/*
 * How bytes get into a stage. Both are weak: an application with a DMA controller defines its own.
 *
 * A copy is begun, then waited for with the same arguments or abandoned: begun with `from` NULL, after whose return
 * nothing may be written to `to` any more. `to` and `from` are aligned to 4 bytes and do not overlap. Between begin and
 * wait the network reads and writes other bytes of the stage. ptee_copy_begin may do nothing, as the default does;
 * ptee_copy_wait returns when the bytes can be read, and copies them by memcpy by default.
 */
void ptee_copy_begin(void *to, const void *from, size_t nbytes);
void ptee_copy_wait(void *to, const void *from, size_t nbytes);

/*
 * Copies every constant that the linker script NAME.ld loads into a memory of its own. Once after reset, before the
 * first NAME_init; .data is for the startup code. On a host there is nothing to copy.
 */
void ptee_load_sections(void);

/* Bytes that a CRC goes over. */
typedef struct {
    const void *bytes;
    uint32_t nbytes;
} ptee_span_t;

/* A pointer among the constants, and where it points: only the linker knows what its bytes are. */
typedef struct {
    const void *at;
    const void *to;
} ptee_link_t;

/* All constants of a network; `crc` is the CRC-32 (of zlib) over the spans one after the other. */
typedef struct {
    const ptee_span_t *spans;
    const ptee_link_t *links;
    uint32_t span_count;
    uint32_t link_count;
    uint32_t crc;
} ptee_check_t;

/* PTEE_OK, or PTEE_CORRUPT where a bit of them is not what the compiler of the network wrote. */
ptee_status ptee_check(const ptee_check_t *check);

/* Index of the largest of `count` >= 1 codes, the lowest one of equals. */
uint32_t ptee_argmax(const int8_t *codes, uint32_t count);

#ifdef __cplusplus
}
#endif

#endif /* PTEE_RUNTIME_H */
