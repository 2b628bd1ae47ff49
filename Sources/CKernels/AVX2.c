#include "CKernels.h"

#if defined(__x86_64__)

#define KERNEL __attribute__((target("avx2,fma")))

#include "VectorsAVX2.h"

OPERATION Vector multiplyAdd(Vector x, Vector y, Vector sum) { return _mm256_fmadd_ps(x, y, sum); }

#include "Floats.h"
#include "PanelKernels.h"

const CKernels_Panels *CKernels_panelsAVX2(void) {
    static const CKernels_Panels panels = {panelRows, panelColumns, stepElements, packLeft, packRight, multiply};
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &panels : NULL;
}

#else

const CKernels_Panels *CKernels_panelsAVX2(void) { return NULL; }

#endif
