#include "PackedWeights.h"

#include <string.h>

#define INLINED static inline __attribute__((always_inline))
#define UNROLLED _Pragma("clang loop unroll(full)")

enum {
    lanes = CKernels_weightColumns,
    mostRows = 12,
    // Floats of x that are multiplied by all panels before the next: they stay in the second-level cache.
    blockFloats = 1 << 16,
};

// Sixteen floats: two registers of AVX2 or one of AVX-512, as the function says that this is inlined into.
typedef float Lanes __attribute__((vector_size(64), aligned(4)));
typedef int Bits __attribute__((vector_size(64), aligned(4)));

// A macro: no function returns registers that its callers may lack.
#define REPEATED(x) ((Lanes){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x})

// A tile: `rows` rows of x times one panel, the sums held in registers while k runs. x is read where it lies: one factor serves
// sixteen lanes, and packing it would cost more than it saves.
INLINED void multiplyTile(
    const int rows, const float *x, ptrdiff_t xStride, const float *panel, ptrdiff_t k, const float *bias, bool rectified,
    float *out, ptrdiff_t outStride
) {
    Lanes sum[mostRows];
    UNROLLED for (int i = 0; i < rows; i++) sum[i] = REPEATED(0);
    for (ptrdiff_t p = 0; p < k; p++, panel += lanes) {
        Lanes weights = *(const Lanes *)panel;
        UNROLLED for (int i = 0; i < rows; i++) {
            float factor = x[i * xStride + p];
            sum[i] = __builtin_elementwise_fma(REPEATED(factor), weights, sum[i]);
        }
    }
    Lanes zero = REPEATED(0), added = bias ? *(const Lanes *)bias : zero;
    UNROLLED for (int i = 0; i < rows; i++) {
        Lanes result = bias ? sum[i] + added : sum[i];
        if (rectified) result = (Lanes)((Bits)result & (Bits)(result > zero));
        *(Lanes *)(out + i * outStride) = result;
    }
}

typedef void Tile(
    const float *x, ptrdiff_t xStride, const float *panel, ptrdiff_t k, const float *bias, bool rectified, float *out,
    ptrdiff_t outStride);

#define TILE(NAME, TARGET, ROWS)                                                                                             \
    TARGET static void NAME##ROWS(                                                                                           \
        const float *x, ptrdiff_t xStride, const float *panel, ptrdiff_t k, const float *bias, bool rectified, float *out,   \
        ptrdiff_t outStride                                                                                                  \
    ) {                                                                                                                      \
        multiplyTile(ROWS, x, xStride, panel, k, bias, rectified, out, outStride);                                           \
    }
#define SIX(NAME, TARGET)                                                                                                    \
    TILE(NAME, TARGET, 1) TILE(NAME, TARGET, 2) TILE(NAME, TARGET, 3)                                                        \
    TILE(NAME, TARGET, 4) TILE(NAME, TARGET, 5) TILE(NAME, TARGET, 6)

// Twelve registers of sums, of the sixteen there are.
SIX(tile, )
static Tile *const tiles[] = {tile1, tile2, tile3, tile4, tile5, tile6};

#if defined(__x86_64__)
#define AVX512 __attribute__((target("avx512f")))
SIX(wideTile, AVX512)
TILE(wideTile, AVX512, 7) TILE(wideTile, AVX512, 8) TILE(wideTile, AVX512, 9)
TILE(wideTile, AVX512, 10) TILE(wideTile, AVX512, 11) TILE(wideTile, AVX512, 12)
static Tile *const wideTiles[] = {wideTile1, wideTile2, wideTile3, wideTile4, wideTile5, wideTile6,
                                  wideTile7, wideTile8, wideTile9, wideTile10, wideTile11, wideTile12};
#endif

// A panel whose columns are not all there: through a tile of its own.
static void multiplyLastPanel(
    Tile *tile, int rows, const float *x, ptrdiff_t xStride, const float *panel, ptrdiff_t k, const float *bias,
    bool rectified, float *out, ptrdiff_t outStride, ptrdiff_t columns
) {
    float whole[mostRows * lanes], wholeBias[lanes] = {0};
    if (bias) memcpy(wholeBias, bias, (size_t)columns * sizeof(float));
    tile(x, xStride, panel, k, bias ? wholeBias : NULL, rectified, whole, lanes);
    for (int i = 0; i < rows; i++) memcpy(out + i * outStride, whole + i * lanes, (size_t)columns * sizeof(float));
}

void CKernels_multiplyWeights(
    const float *x, ptrdiff_t xStride, ptrdiff_t rows, const float *packed, ptrdiff_t k, ptrdiff_t columns, const float *bias,
    bool rectified, float *out, ptrdiff_t outStride
) {
    Tile *const *tileOfRows = tiles;
    ptrdiff_t height = sizeof tiles / sizeof *tiles;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        tileOfRows = wideTiles;
        height = sizeof wideTiles / sizeof *wideTiles;
    }
#endif
    ptrdiff_t block = blockFloats / (k > 0 ? k : 1) / height * height;
    if (block < height) block = height;
    for (ptrdiff_t begin = 0; begin < rows; begin += block) {
        ptrdiff_t end = begin + block < rows ? begin + block : rows;
        for (ptrdiff_t column = 0; column < columns; column += lanes) {
            const float *panel = packed + column * k, *panelBias = bias ? bias + column : NULL;
            for (ptrdiff_t row = begin; row < end; row += height) {
                ptrdiff_t count = end - row < height ? end - row : height;
                Tile *tile = tileOfRows[count - 1];
                const float *from = x + row * xStride;
                float *to = out + row * outStride + column;
                if (columns - column >= lanes) {
                    tile(from, xStride, panel, k, panelBias, rectified, to, outStride);
                } else {
                    multiplyLastPanel(
                        tile, (int)count, from, xStride, panel, k, panelBias, rectified, to, outStride, columns - column);
                }
            }
        }
    }
}
