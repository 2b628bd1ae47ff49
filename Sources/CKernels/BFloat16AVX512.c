#include "CKernels.h"

#if defined(__x86_64__)

#define KERNEL __attribute__((target("avx512f,avx512bw,avx512bf16")))

#include "VectorsAVX512.h"

enum { stepElements = 2 };

// The processor's own: of each pair the second product, then the first, is added in a rounding of its own; what is smaller than a
// normal number is zero.
OPERATION Vector multiplyAdd(Vector x, Vector y, Vector sum) {
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)y);
}

OPERATION Vector pairs(Vector elements, Vector following) {
    return (Vector)_mm512_cvtne2ps_pbh(following, elements);
}

OPERATION Vector stepsOfLine(const float *line) { return pairs(load(line), load(line + lanes)); }

OPERATION Vector lastStepsOfLine(const float *line, ptrdiff_t elements) {
    ptrdiff_t inFirst = elements < lanes ? elements : lanes;
    return pairs(loadFirst(firstLanes(inFirst), line), loadFirst(firstLanes(elements - inFirst), line + inFirst));
}

OPERATION Vector stepOfLines(Lanes first, const float *x, ptrdiff_t stride, bool whole) {
    Vector second = whole ? loadFirst(first, x + stride) : zero();
    // All first elements, then all second ones; then pairs of them.
    const __m512i places = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return (Vector)_mm512_permutexvar_epi16(places, (__m512i)pairs(loadFirst(first, x), second));
}

#include "PanelKernels.h"

const CKernels_Panels *CKernels_bfloat16PanelsAVX512(void) {
    static const CKernels_Panels panels = {panelRows, panelColumns, stepElements, packLeft, packRight, multiply};
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512bf16") ? &panels : NULL;
}

#else

const CKernels_Panels *CKernels_bfloat16PanelsAVX512(void) { return NULL; }

#endif
