// Vectors of 8 floats, for PanelKernels.h. KERNEL is the attribute of a function that uses them.

#include <immintrin.h>
#include <stdint.h>

#define OPERATION KERNEL static inline __attribute__((always_inline))

#define FOR_EACH_ROW_COUNT(f) f(1) f(2) f(3) f(4) f(5) f(6)

enum { lanes = 8, panelRows = 6 };

typedef __m256 Vector;
// How many lanes: there are no masks, and storing by one is slow on some processors.
typedef ptrdiff_t Lanes;

OPERATION Vector load(const float *p) { return _mm256_loadu_ps(p); }
OPERATION void store(float *p, Vector v) { _mm256_storeu_ps(p, v); }
OPERATION void storeAligned(float *p, Vector v) { _mm256_store_ps(p, v); }
OPERATION Vector broadcast(float x) { return _mm256_set1_ps(x); }
OPERATION Vector zero(void) { return _mm256_setzero_ps(); }
OPERATION Vector add(Vector x, Vector y) { return _mm256_add_ps(x, y); }
OPERATION Lanes firstLanes(ptrdiff_t count) { return count; }

OPERATION Vector loadFirst(Lanes first, const float *p) {
    static const int32_t masks[2 * lanes] = {-1, -1, -1, -1, -1, -1, -1, -1};
    if (first == lanes) return load(p);
    return _mm256_maskload_ps(p, _mm256_loadu_si256((const __m256i *)(masks + lanes - first)));
}

OPERATION void storeFirst(float *p, Lanes first, Vector v) {
    if (first == lanes) return store(p, v);
    __m128 rest = _mm256_castps256_ps128(v);
    if (first & 4) {
        _mm_storeu_ps(p, rest);
        rest = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (first & 2) {
        _mm_storel_pi((__m64 *)p, rest);
        rest = _mm_movehl_ps(rest, rest);
        p += 2;
    }
    if (first & 1) _mm_store_ss(p, rest);
}

// Turns 8 rows of 8 into 8 columns of 8.
OPERATION void transpose(Vector r[lanes]) {
    Vector t[lanes];
    _Pragma("clang loop unroll(full)") for (int i = 0; i < lanes; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    // Then u[4 q + i] has, in its two halves, columns i and 4 + i of rows 4 q ..< 4 q + 4.
    Vector u[lanes];
    _Pragma("clang loop unroll(full)") for (int i = 0; i < lanes; i += 4) {
        u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
        u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
    _Pragma("clang loop unroll(full)") for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
    }
}
