// What AVX512_BF16 computes, to the bit, on a processor without it: slower than with floats. It is for checking.

#include "CKernels.h"

#if defined(__x86_64__)

#define KERNEL __attribute__((target("avx2,fma")))

#include "VectorsAVX2.h"

enum { stepElements = 2 };

// What is smaller than a normal number becomes zero of its sign.
OPERATION Vector flushed(Vector x) {
    const Vector sign = _mm256_set1_ps(-0.0f);
    Vector isTiny = _mm256_cmp_ps(_mm256_andnot_ps(sign, x), _mm256_set1_ps(0x1p-126f), _CMP_LT_OQ);
    return _mm256_andnot_ps(_mm256_andnot_ps(sign, isTiny), x);
}

// The first and the second element of each pair, as floats.
OPERATION Vector firstOf(Vector pair) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(pair), 16)); }
OPERATION Vector secondOf(Vector pair) {
    return _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(pair), _mm256_set1_epi32((int)0xFFFF0000)));
}

OPERATION Vector multiplyAdd(Vector x, Vector y, Vector sum) {
    sum = flushed(_mm256_fmadd_ps(secondOf(x), secondOf(y), sum));
    return flushed(_mm256_fmadd_ps(firstOf(x), firstOf(y), sum));
}

// Each float rounded to the nearest bfloat16, ties to even, in the upper half of its lane; not-a-number stays so.
OPERATION __m256i rounded(Vector x) {
    __m256i bits = _mm256_castps_si256(flushed(x));
    __m256i isOdd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i nearest = _mm256_add_epi32(bits, _mm256_add_epi32(isOdd, _mm256_set1_epi32(0x7FFF)));
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    __m256i isNumber = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_ORD_Q));
    return _mm256_blendv_epi8(quiet, nearest, isNumber);
}

// A pair a lane.
OPERATION Vector paired(Vector first, Vector second) {
    return _mm256_castsi256_ps(_mm256_blend_epi16(_mm256_srli_epi32(rounded(first), 16), rounded(second), 0xAA));
}

// Pairs of neighbours: the first of each pair from the even lanes of both vectors, the second from the odd ones.
OPERATION Vector pairs(Vector elements, Vector following) {
    Vector even = _mm256_shuffle_ps(elements, following, 0x88), odd = _mm256_shuffle_ps(elements, following, 0xDD);
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(paired(even, odd)), 0xD8));
}

OPERATION Vector stepsOfLine(const float *line) { return pairs(load(line), load(line + lanes)); }

OPERATION Vector lastStepsOfLine(const float *line, ptrdiff_t elements) {
    ptrdiff_t inFirst = elements < lanes ? elements : lanes;
    return pairs(loadFirst(firstLanes(inFirst), line), loadFirst(firstLanes(elements - inFirst), line + inFirst));
}

OPERATION Vector stepOfLines(Lanes first, const float *x, ptrdiff_t stride, bool whole) {
    return paired(loadFirst(first, x), whole ? loadFirst(first, x + stride) : zero());
}

#include "PanelKernels.h"

const CKernels_Panels *CKernels_bfloat16PanelsAVX2(void) {
    static const CKernels_Panels panels = {panelRows, panelColumns, stepElements, packLeft, packRight, multiply};
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &panels : NULL;
}

#else

const CKernels_Panels *CKernels_bfloat16PanelsAVX2(void) { return NULL; }

#endif
