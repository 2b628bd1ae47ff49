// Vectors of 16 floats, for PanelKernels.h. KERNEL is the attribute of a function that uses them.

#include <immintrin.h>

#define OPERATION KERNEL static inline __attribute__((always_inline))

#define FOR_EACH_ROW_COUNT(f) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14)

enum { lanes = 16, panelRows = 14 };

typedef __m512 Vector;
typedef __mmask16 Lanes;

OPERATION Vector load(const float *p) { return _mm512_loadu_ps(p); }
OPERATION void store(float *p, Vector v) { _mm512_storeu_ps(p, v); }
OPERATION void storeAligned(float *p, Vector v) { _mm512_store_ps(p, v); }
OPERATION Vector broadcast(float x) { return _mm512_set1_ps(x); }
OPERATION Vector zero(void) { return _mm512_setzero_ps(); }
OPERATION Vector add(Vector x, Vector y) { return _mm512_add_ps(x, y); }
OPERATION Lanes firstLanes(ptrdiff_t count) { return (__mmask16)((1u << count) - 1); }
OPERATION Vector loadFirst(Lanes first, const float *p) { return _mm512_maskz_loadu_ps(first, p); }
OPERATION void storeFirst(float *p, Lanes first, Vector v) { _mm512_mask_storeu_ps(p, first, v); }

// Turns 16 rows of 16 into 16 columns of 16.
OPERATION void transpose(Vector r[lanes]) {
    Vector t[lanes];
    _Pragma("clang loop unroll(full)") for (int i = 0; i < lanes; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    _Pragma("clang loop unroll(full)") for (int i = 0; i < lanes; i += 4) {
        for (int half = 0; half < 2; half++) {
            __m512d upper = _mm512_castps_pd(t[i + half]), lower = _mm512_castps_pd(t[i + half + 2]);
            r[i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(upper, lower));
            r[i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(upper, lower));
        }
    }
    // Now r[4 q + i] has, in its four quarters, columns i, 4 + i, 8 + i, 12 + i of rows 4 q ..< 4 q + 4.
    _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++) {
        __m512 even0 = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88), odd0 = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xDD);
        __m512 even1 = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88), odd1 = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xDD);
        t[i] = _mm512_shuffle_f32x4(even0, even1, 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(odd0, odd1, 0x88);
        t[i + 8] = _mm512_shuffle_f32x4(even0, even1, 0xDD);
        t[i + 12] = _mm512_shuffle_f32x4(odd0, odd1, 0xDD);
    }
    _Pragma("clang loop unroll(full)") for (int i = 0; i < lanes; i++) r[i] = t[i];
}
