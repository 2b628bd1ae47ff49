#include "CKernels.h"

#if defined(__x86_64__)

#define KERNEL __attribute__((target("avx512f")))

#include "VectorsAVX512.h"

OPERATION Vector multiplyAdd(Vector x, Vector y, Vector sum) { return _mm512_fmadd_ps(x, y, sum); }

#include "Floats.h"
#include "PanelKernels.h"

const CKernels_Panels *CKernels_panelsAVX512(void) {
    static const CKernels_Panels panels = {panelRows, panelColumns, stepElements, packLeft, packRight, multiply};
    return __builtin_cpu_supports("avx512f") ? &panels : NULL;
}

#else

const CKernels_Panels *CKernels_panelsAVX512(void) { return NULL; }

#endif
