#include "PackedWeights.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define INLINED static inline __attribute__((always_inline))
#define UNROLLED _Pragma("clang loop unroll(full)")

enum {
    lanes = CKernels_weightColumns,
    mostRows = 12,
    // Floats of x that are multiplied by all panels before the next: they stay in the second-level cache.
    blockFloats = 1 << 16,
    // Inputs of products whose zeros are looked for, and the first ones, which tell whether there are any.
    fewestInputs = 64,
    mostInputs = 1 << 13,
    // Of a block's tiles, which have four rows at least.
    mostTiles = blockFloats / fewestInputs / 4,
    mostListed = blockFloats / 4 + 8,
};

// Sixteen floats: two registers of AVX2 or one of AVX-512, as the function says that this is inlined into.
typedef float Lanes __attribute__((vector_size(64), aligned(4)));
typedef int Bits __attribute__((vector_size(64), aligned(4)));

// A macro: no function returns registers that its callers may lack.
#define REPEATED(x) ((Lanes){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x})

// The inputs that a tile multiplies, ascending: all of k, or those that are listed.
typedef struct {
    const uint16_t *listed;
    ptrdiff_t count;
} Inputs;

// A tile: `rows` rows of x times one panel, the sums held in registers while inputs run. x is read where it lies: one factor serves
// sixteen lanes, and packing it would cost more than it saves.
INLINED void multiplyTile(
    const int rows, const bool isListed, const float *x, ptrdiff_t xStride, const float *panel, Inputs inputs,
    const float *bias, bool rectified, float *out, ptrdiff_t outStride
) {
    Lanes sum[mostRows];
    UNROLLED for (int i = 0; i < rows; i++) sum[i] = REPEATED(0);
    for (ptrdiff_t n = 0; n < inputs.count; n++) {
        ptrdiff_t p = isListed ? inputs.listed[n] : n;
        Lanes weights = *(const Lanes *)(panel + p * lanes);
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
    const float *x, ptrdiff_t xStride, const float *panel, Inputs inputs, const float *bias, bool rectified, float *out,
    ptrdiff_t outStride);

#define TILE(NAME, TARGET, ROWS)                                                                                             \
    TARGET static void NAME##ROWS(                                                                                           \
        const float *x, ptrdiff_t xStride, const float *panel, Inputs inputs, const float *bias, bool rectified, float *out, \
        ptrdiff_t outStride                                                                                                  \
    ) {                                                                                                                      \
        if (inputs.listed) {                                                                                                 \
            multiplyTile(ROWS, true, x, xStride, panel, inputs, bias, rectified, out, outStride);                            \
        } else {                                                                                                             \
            multiplyTile(ROWS, false, x, xStride, panel, inputs, bias, rectified, out, outStride);                           \
        }                                                                                                                    \
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
    Tile *tile, int rows, const float *x, ptrdiff_t xStride, const float *panel, Inputs inputs, const float *bias,
    bool rectified, float *out, ptrdiff_t outStride, ptrdiff_t columns
) {
    float whole[mostRows * lanes], wholeBias[lanes] = {0};
    if (bias) memcpy(wholeBias, bias, (size_t)columns * sizeof(float));
    tile(x, xStride, panel, inputs, bias ? wholeBias : NULL, rectified, whole, lanes);
    for (int i = 0; i < rows; i++) memcpy(out + i * outStride, whole + i * lanes, (size_t)columns * sizeof(float));
}

// Lists the inputs, of `count` of them, that are not zero in every row; returns how many. Writes up to eight places further.
static ptrdiff_t listInputs(const float *x, ptrdiff_t xStride, ptrdiff_t rows, ptrdiff_t count, uint16_t *listed) {
    ptrdiff_t found = 0, p = 0;
#if defined(__x86_64__)
    for (; p + 8 <= count; p += 8) {
        __m256i bits = _mm256_setzero_si256();
        for (ptrdiff_t i = 0; i < rows; i++) {
            bits = _mm256_or_si256(bits, _mm256_loadu_si256((const __m256i *)(x + i * xStride + p)));
        }
        // Without the sign: -0 is zero.
        __m256i isZero = _mm256_cmpeq_epi32(_mm256_slli_epi32(bits, 1), _mm256_setzero_si256());
        uint64_t some = ~(uint64_t)_mm256_movemask_ps(_mm256_castsi256_ps(isZero)) & 0xFF;
        // A byte for each input, and the numbers of those that are taken side by side.
        uint64_t lanesTaken = _pext_u64(0x0706050403020100, _pdep_u64(some, 0x0101010101010101) * 0xFF);
        __m128i numbers = _mm_cvtepu8_epi16(_mm_cvtsi64_si128((int64_t)lanesTaken));
        _mm_storeu_si128((__m128i *)(listed + found), _mm_add_epi16(numbers, _mm_set1_epi16((int16_t)p)));
        found += __builtin_popcountll(some);
    }
#endif
    for (; p < count; p++) {
        bool isZero = true;
        for (ptrdiff_t i = 0; i < rows; i++) isZero &= x[i * xStride + p] == 0;
        listed[found] = (uint16_t)p;
        found += !isZero;
    }
    return found;
}

// What a tile multiplies: after a rectifier many inputs are zero in all rows, and add nothing to any sum.
INLINED Inputs inputsOf(const float *x, ptrdiff_t xStride, ptrdiff_t rows, ptrdiff_t k, uint16_t *room) {
    if (listInputs(x, xStride, rows, fewestInputs, room) > fewestInputs * 15 / 16) return (Inputs){NULL, k};
    return (Inputs){room, listInputs(x, xStride, rows, k, room)};
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
    bool isSearched = k >= fewestInputs && k <= mostInputs;
    for (ptrdiff_t begin = 0; begin < rows; begin += block) {
        ptrdiff_t end = begin + block < rows ? begin + block : rows;
        Inputs inputs[mostTiles];
        uint16_t room[mostListed], *free = room;
        for (ptrdiff_t row = begin, n = 0; isSearched && row < end; row += height, n++) {
            ptrdiff_t count = end - row < height ? end - row : height;
            inputs[n] = inputsOf(x + row * xStride, xStride, count, k, free);
            if (inputs[n].listed) free += inputs[n].count;
        }
        for (ptrdiff_t column = 0; column < columns; column += lanes) {
            const float *panel = packed + column * k, *panelBias = bias ? bias + column : NULL;
            for (ptrdiff_t row = begin, n = 0; row < end; row += height, n++) {
                ptrdiff_t count = end - row < height ? end - row : height;
                Tile *tile = tileOfRows[count - 1];
                const float *from = x + row * xStride;
                float *to = out + row * outStride + column;
                Inputs taken = isSearched ? inputs[n] : (Inputs){NULL, k};
                if (columns - column >= lanes) {
                    tile(from, xStride, panel, taken, panelBias, rectified, to, outStride);
                } else {
                    multiplyLastPanel(
                        tile, (int)count, from, xStride, panel, taken, panelBias, rectified, to, outStride, columns - column);
                }
            }
        }
    }
}
