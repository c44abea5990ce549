/* Loops over one frame, for the compiler to vectorise.

   They are written once and compiled for each kind of processor; kernels_choose takes the best that this one has, so
   that one build runs everywhere. Floating point is done in one order and without contraction, and gives the same
   everywhere. */
#include <stdint.h>
#include <string.h>

#define KERNEL_FRAME 960
#define KERNEL_BLOCK 48     /* 1 ms */
#define KERNEL_RAMP 240     /* 5 ms */
#define KERNEL_NEAREST 12582912.0f  /* 1.5 * 2^23: what is added to it and taken away is rounded to the nearest, ties to even */

#define KERNEL static inline __attribute__((always_inline))

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

KERNEL int32_t kernel_clip(int32_t value)
{
    value = value > 32767 ? 32767 : value;
    return value < -32768 ? -32768 : value;
}

KERNEL int32_t kernel_rounded(float value)
{
    /* beyond 2^22 nothing is left of a fraction that matters, and the trick fails */
    float nearest = (value + KERNEL_NEAREST) - KERNEL_NEAREST;
    return (int32_t)(value > 4194304.0f || value < -4194304.0f ? value : nearest);
}

KERNEL void kernel_add4(int32_t *restrict total, const int16_t *restrict a, const int16_t *restrict b,
                        const int16_t *restrict c, const int16_t *restrict d)
{
    for (int i = 0; i < KERNEL_FRAME; i++)
        total[i] += (a[i] + b[i]) + (c[i] + d[i]);
}

KERNEL void kernel_add1(int32_t *restrict total, const int16_t *restrict frame)
{
    for (int i = 0; i < KERNEL_FRAME; i++)
        total[i] += frame[i];
}

KERNEL void kernel_add(int32_t *restrict total, const int16_t *const *frames, int count)
{
    int k = 0;
    for (; k + 4 <= count; k += 4)
        kernel_add4(total, frames[k], frames[k + 1], frames[k + 2], frames[k + 3]);
    for (; k < count; k++)
        kernel_add1(total, frames[k]);
}

KERNEL void kernel_subtract(int32_t *restrict total, const int16_t *restrict frame)
{
    for (int i = 0; i < KERNEL_FRAME; i++)
        total[i] -= frame[i];
}

KERNEL void kernel_add_total(int32_t *restrict total, const int32_t *restrict other)
{
    for (int i = 0; i < KERNEL_FRAME; i++)
        total[i] += other[i];
}

KERNEL void kernel_subtract_total(int32_t *restrict total, const int32_t *restrict other)
{
    for (int i = 0; i < KERNEL_FRAME; i++)
        total[i] -= other[i];
}

KERNEL void kernel_minus(const int32_t *restrict total, const int16_t *restrict frame, int16_t *restrict rest)
{
    for (int i = 0; i < KERNEL_FRAME; i++)
        rest[i] = (int16_t)kernel_clip(total[i] - frame[i]);
}

KERNEL void kernel_saturate(const int32_t *restrict total, int16_t *restrict frame)
{
    for (int i = 0; i < KERNEL_FRAME; i++)
        frame[i] = (int16_t)kernel_clip(total[i]);
}

KERNEL int64_t kernel_energy(const int16_t *restrict frame, int count)
{
    int64_t energy = 0;
    for (int i = 0; i < count; i++)
        energy += (int32_t)frame[i] * (int32_t)frame[i];
    return energy;
}

KERNEL void kernel_peaks(const int32_t *restrict total, int32_t *restrict peaks)
{
    for (int block = 0; block < KERNEL_FRAME / KERNEL_BLOCK; block++, total += KERNEL_BLOCK) {
        int32_t peak = 0;
        for (int i = 0; i < KERNEL_BLOCK; i++) {
            int32_t magnitude = total[i] < 0 ? -total[i] : total[i];
            peak = magnitude > peak ? magnitude : peak;
        }
        peaks[block] = peak;
    }
}

/* A block with a gain that goes from here to there. */
KERNEL void kernel_limited(const int32_t *restrict total, int16_t *restrict frame, float gain, float to)
{
    float step = (to - gain) / KERNEL_BLOCK;
    for (int i = 0; i < KERNEL_BLOCK; i++)
        frame[i] = (int16_t)kernel_clip(kernel_rounded((float)total[i] * (gain + step * (float)i)));
}

/* A frame with a gain that goes from here to there in KERNEL_RAMP samples, and stays. */
#define KERNEL_RAMPED                                                                                  \
    float step = (to - gain) / KERNEL_RAMP;                                                            \
    for (int i = 0; i < KERNEL_RAMP; i++)                                                              \
        ramped[i] = kernel_rounded((float)frame[i] * (gain + step * (float)(i + 1)));                  \
    for (int i = KERNEL_RAMP; i < KERNEL_FRAME; i++)                                                   \
        ramped[i] = kernel_rounded((float)frame[i] * to);

KERNEL void kernel_ramp(const int16_t *restrict frame, int32_t *restrict ramped, float gain, float to)
{
    KERNEL_RAMPED
}

KERNEL void kernel_ramp_total(const int32_t *restrict frame, int32_t *restrict ramped, float gain, float to)
{
    KERNEL_RAMPED
}

/* A frame with a gain that goes from here to there in all of it. */
KERNEL void kernel_glide(const int16_t *restrict frame, int32_t *restrict glided, float gain, float to)
{
    float step = (to - gain) / KERNEL_FRAME;
    for (int i = 0; i < KERNEL_FRAME; i++)
        glided[i] = kernel_rounded((float)frame[i] * (gain + step * (float)(i + 1)));
}

struct kernels {
    void (*add)(int32_t *, const int16_t *const *, int);
    void (*subtract)(int32_t *, const int16_t *);
    void (*add_total)(int32_t *, const int32_t *);
    void (*subtract_total)(int32_t *, const int32_t *);
    void (*minus)(const int32_t *, const int16_t *, int16_t *);
    void (*saturate)(const int32_t *, int16_t *);
    int64_t (*energy)(const int16_t *, int);
    void (*peaks)(const int32_t *, int32_t *);
    void (*limited)(const int32_t *, int16_t *, float, float);
    void (*ramp)(const int16_t *, int32_t *, float, float);
    void (*ramp_total)(const int32_t *, int32_t *, float, float);
    void (*glide)(const int16_t *, int32_t *, float, float);
};

#define KERNELS(kind, attributes)                                                                              \
    attributes static void add_##kind(int32_t *t, const int16_t *const *f, int n) { kernel_add(t, f, n); }     \
    attributes static void subtract_##kind(int32_t *t, const int16_t *f) { kernel_subtract(t, f); }            \
    attributes static void add_total_##kind(int32_t *t, const int32_t *o) { kernel_add_total(t, o); }          \
    attributes static void subtract_total_##kind(int32_t *t, const int32_t *o) { kernel_subtract_total(t, o); } \
    attributes static void minus_##kind(const int32_t *t, const int16_t *f, int16_t *r) { kernel_minus(t, f, r); } \
    attributes static void saturate_##kind(const int32_t *t, int16_t *f) { kernel_saturate(t, f); }            \
    attributes static int64_t energy_##kind(const int16_t *f, int n) { return kernel_energy(f, n); }           \
    attributes static void peaks_##kind(const int32_t *t, int32_t *p) { kernel_peaks(t, p); }                  \
    attributes static void limited_##kind(const int32_t *t, int16_t *f, float a, float b)                      \
    { kernel_limited(t, f, a, b); }                                                                            \
    attributes static void ramp_##kind(const int16_t *f, int32_t *r, float a, float b) { kernel_ramp(f, r, a, b); } \
    attributes static void ramp_total_##kind(const int32_t *f, int32_t *r, float a, float b)                   \
    { kernel_ramp_total(f, r, a, b); }                                                                         \
    attributes static void glide_##kind(const int16_t *f, int32_t *g, float a, float b) { kernel_glide(f, g, a, b); } \
    static const struct kernels kernels_##kind = {                                                             \
        add_##kind, subtract_##kind, add_total_##kind, subtract_total_##kind, minus_##kind, saturate_##kind,   \
        energy_##kind, peaks_##kind, limited_##kind, ramp_##kind, ramp_total_##kind, glide_##kind,             \
    };

KERNELS(baseline, )

static struct kernels kernels;

#if defined(__x86_64__) && !defined(__AVX2__)
KERNELS(avx2, __attribute__((target("avx2"))))

static const char *kernels_choose(int best)
{
    __builtin_cpu_init();
    int avx2 = best && __builtin_cpu_supports("avx2");
    kernels = avx2 ? kernels_avx2 : kernels_baseline;
    return avx2 ? "avx2" : "baseline";
}
#else
static const char *kernels_choose(int best)
{
    (void)best;
    kernels = kernels_baseline;
    return "baseline";
}
#endif
