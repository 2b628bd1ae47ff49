// Packing, and the product of packed panels, for one instruction set and one precision: the file that includes this says what
// a vector is, and what a step of a product over k multiplies.
//
// KERNEL: the attribute of a function that uses the instructions.
// FOR_EACH_ROW_COUNT(f): f(1) f(2) … f(panelRows).
// lanes, panelRows: lanes of a vector, rows of a tile of C at most. A tile has up to two vectors of columns.
// Vector, and load, store, storeAligned, broadcast, zero, add of it; transpose of `lanes` vectors.
// Lanes, the first so many lanes: firstLanes(count), loadFirst (zeros for the others), storeFirst (nothing for the others).
// stepElements: elements of k that a lane holds, and a step multiplies: a float, or a pair of bfloat16.
// multiplyAdd: a step. stepsOfLine, lastStepsOfLine: `lanes` steps of one line. stepOfLines: one step of `lanes` lines.

#include <stdint.h>

// Inlined, so that rows and vectors are constants: the loops over them unroll, and the sums stay in registers.
#define INLINED KERNEL static inline __attribute__((always_inline))
#define UNROLLED _Pragma("clang loop unroll(full)")

enum {
    panelVectors = 2,
    panelColumns = panelVectors * lanes,
    // Floats of a line of the cache.
    cacheLine = 16,
    // Steps over k between looks at how far it is. C is fetched into the first-level cache for the last of these only: many
    // of its lines compete for a place there if its rows are a power of two apart.
    chunk = 32,
    // A chain of this length or less ends before lines come that are asked for when it starts.
    shortChain = 64,
    // Lines and floats of a square of a transposed source that is fetched as a whole.
    square = panelColumns,
};

// MARK: - Packing

static ptrdiff_t stepsOf(ptrdiff_t k) { return (k + stepElements - 1) / stepElements; }

// packed[p · step + line] ← step p of line x[line · stride …] for up to `lanes` lines. Writes whole vectors, for each p in
// ascending order: with a smaller step each overwrites the excess of the one before.
KERNEL static void packLines(
    const float *x, ptrdiff_t stride, ptrdiff_t lines, ptrdiff_t k, float *packed, ptrdiff_t step
) {
    // The last line stands for those that there are not, so that every loop is over `lanes`.
    const float *line[lanes];
    UNROLLED for (int i = 0; i < lanes; i++) line[i] = x + (i < lines ? i : lines - 1) * stride;
    Vector r[lanes];
    ptrdiff_t p = 0, rest = k;
    for (; rest >= lanes * stepElements; p += lanes, rest -= lanes * stepElements) {
        UNROLLED for (int i = 0; i < lanes; i++) r[i] = stepsOfLine(line[i] + p * stepElements);
        transpose(r);
        UNROLLED for (int i = 0; i < lanes; i++) store(packed + (p + i) * step, r[i]);
    }
    if (rest == 0) return;
    UNROLLED for (int i = 0; i < lanes; i++) r[i] = lastStepsOfLine(line[i] + p * stepElements, rest);
    transpose(r);
    UNROLLED for (int i = 0; i < lanes; i++) {
        if (i < stepsOf(rest)) store(packed + (p + i) * step, r[i]);
    }
}

// packed[p · step + c] ← step p of column c of x [k, columns] for up to `lanes` columns.
KERNEL static void packColumns(
    const float *x, ptrdiff_t stride, ptrdiff_t columns, ptrdiff_t k, float *packed, ptrdiff_t step
) {
    Lanes first = firstLanes(columns);
    for (ptrdiff_t p = 0; p < k; p += stepElements, x += stepElements * stride, packed += step) {
        storeAligned(packed, stepOfLines(first, x, stride, p + 1 < k));
    }
}

// How the rows of a left factor are cut: the first `larger` panels have a row more than `size`. Divided once a call.
typedef struct {
    ptrdiff_t panels, size, larger;
} Cut;

static Cut cut(ptrdiff_t rows) {
    ptrdiff_t panels = (rows + panelRows - 1) / panelRows;
    return (Cut){panels, rows / panels, rows % panels};
}

static ptrdiff_t rowsOf(Cut cut, ptrdiff_t panel) { return cut.size + (panel < cut.larger); }

// packed[p · count + line] ← step p of column `line` of x [k, count]. Where others follow in the panel the excess of a whole
// vector is overwritten by them; else it would lie in the next panel.
INLINED void packSteps(
    const ptrdiff_t count, const float *x, ptrdiff_t stride, ptrdiff_t k, ptrdiff_t steps, bool othersFollow, float *packed
) {
    Lanes first = firstLanes(count);
    ptrdiff_t last = steps - 1;
    for (ptrdiff_t p = 0; p < last; p++) {
        store(packed + p * count, stepOfLines(first, x + p * stepElements * stride, stride, true));
    }
    Vector step = stepOfLines(first, x + last * stepElements * stride, stride, last * stepElements + 1 < k);
    if (othersFollow) store(packed + last * count, step);
    else storeFirst(packed + last * count, first, step);
}

// Some rows of the matrix as it is stored at a time, for all panels: a column of panels alone would touch as many pages as
// there are rows, once for each.
KERNEL static void packLeftTransposed(const float *x, ptrdiff_t stride, ptrdiff_t rows, ptrdiff_t k, float *packed) {
    Cut rowCut = cut(rows);
    ptrdiff_t steps = stepsOf(k);
    for (ptrdiff_t begin = 0; begin < steps; begin += lanes) {
        ptrdiff_t end = begin + lanes < steps ? begin + lanes : steps;
        for (ptrdiff_t panel = 0, start = 0; panel < rowCut.panels; start += rowsOf(rowCut, panel), panel++) {
            ptrdiff_t count = rowsOf(rowCut, panel), p = begin * stepElements;
            const float *from = x + p * stride + start;
            float *to = packed + start * steps + begin * count;
            // Most panels are full: the count is then a constant, and its masks are too.
            if (count == panelRows) packSteps(panelRows, from, stride, k - p, end - begin, end < steps, to);
            else packSteps(count, from, stride, k - p, end - begin, end < steps, to);
        }
    }
}

KERNEL static void packLeft(
    const float *x, ptrdiff_t stride, bool transposed, ptrdiff_t rows, ptrdiff_t k, float *packed
) {
    if (transposed) return packLeftTransposed(x, stride, rows, k, packed);
    Cut rowCut = cut(rows);
    for (ptrdiff_t panel = 0, start = 0; panel < rowCut.panels; start += rowsOf(rowCut, panel), panel++) {
        ptrdiff_t count = rowsOf(rowCut, panel);
        packLines(x + start * stride, stride, count, k, packed + start * stepsOf(k), count);
    }
}

KERNEL static void packRight(CKernels_Source source, ptrdiff_t columns, ptrdiff_t k, float *packed) {
    const float *x = source.start;
    ptrdiff_t stride = source.stride, step = columns > lanes ? panelColumns : lanes;
    if (!source.transposed && columns == panelColumns) {
        for (ptrdiff_t p = 0; p < k; p += stepElements, x += stepElements * stride, packed += step) {
            storeAligned(packed, stepOfLines(firstLanes(lanes), x, stride, p + 1 < k));
            storeAligned(packed + lanes, stepOfLines(firstLanes(lanes), x + lanes, stride, p + 1 < k));
        }
        return;
    }
    for (ptrdiff_t c = 0; c < columns; c += lanes) {
        ptrdiff_t count = columns - c < lanes ? columns - c : lanes;
        if (source.transposed) packLines(x + c * stride, stride, count, k, packed + c, step);
        else packColumns(x + c, stride, count, k, packed + c, step);
    }
}

// MARK: - Products

// What a call fetches for the next: k places of a panel's width each, spread over the steps of all its tiles. Fetched with the first
// tile they are more than a core can have under way, and the tile waits for them.
typedef struct {
    // An integer: the walk may end beyond the matrix.
    uintptr_t start;
    // Bytes from a place to the next, and from the first of `square` places to the next `square`.
    ptrdiff_t inner, outer;
    // Places walked and places a step, in units of 2^-32.
    uint64_t position, rate;
} Walk;

static Walk walk(CKernels_Source source, ptrdiff_t panels) {
    ptrdiff_t stride = source.stride * (ptrdiff_t)sizeof(float);
    return (Walk){
        .start = (uintptr_t)source.start, .inner = stride,
        .outer = square * (source.transposed ? (ptrdiff_t)sizeof(float) : stride),
        .rate = ((uint64_t)stepElements << 32) / (uint64_t)panels};
}

INLINED void fetch(const Walk *walk, uint64_t place) {
    uintptr_t address = walk->start + place % square * (uintptr_t)walk->inner + place / square * (uintptr_t)walk->outer;
    _mm_prefetch((const char *)address, _MM_HINT_T0);
    if (panelColumns > cacheLine) _mm_prefetch((const char *)(address + cacheLine * sizeof(float)), _MM_HINT_T0);
}

INLINED void multiplySteps(
    const int rows, const int vectors, Vector sum[panelRows][panelVectors], const float **left, const float **right,
    ptrdiff_t rightStep, ptrdiff_t steps, Walk *ahead
) {
    const float *a = *left, *b = *right;
    uint64_t place = ahead->position >> 32;
    ahead->position += (uint64_t)steps * ahead->rate;
    for (uint64_t end = ahead->position >> 32; place < end; place++) fetch(ahead, place);
#pragma clang loop unroll_count(2)
    for (ptrdiff_t p = 0; p < steps; p++) {
        Vector x[panelVectors];
        UNROLLED for (int j = 0; j < vectors; j++) x[j] = load(b + lanes * j);
        UNROLLED for (int i = 0; i < rows; i++) {
            Vector factor = broadcast(a[i]);
            UNROLLED for (int j = 0; j < vectors; j++) sum[i][j] = multiplyAdd(factor, x[j], sum[i][j]);
        }
        a += rows;
        b += rightStep;
    }
    *left = a;
    *right = b;
}

// The lines of a tile of C.
#define FETCH_TILE(c, hint)                                                                                                  \
    UNROLLED for (int i = 0; i < rows; i++) {                                                                                \
        uintptr_t address = (uintptr_t)(c) + (uintptr_t)(i * cStride) * sizeof(float);                                       \
        _mm_prefetch((const char *)address, hint);                                                                           \
        if (vectors > 1) _mm_prefetch((const char *)(address + (lanes * vectors - 1) * sizeof(float)), hint);                \
    }

// A tile of C, its sums held in registers while the steps run. Meanwhile the lines of the tile at `early` come into the second-level
// cache.
INLINED void multiplyTile(
    const int rows, const int vectors, const float *left, const float *right, ptrdiff_t rightStep, ptrdiff_t steps,
    Lanes last, bool accumulate, float *c, ptrdiff_t cStride, uintptr_t early, Walk ahead
) {
    Vector sum[panelRows][panelVectors];
    UNROLLED for (int i = 0; i < rows; i++) {
        UNROLLED for (int j = 0; j < vectors; j++) sum[i][j] = zero();
    }
    FETCH_TILE(early, _MM_HINT_T1)
    for (; steps > chunk; steps -= chunk) multiplySteps(rows, vectors, sum, &left, &right, rightStep, chunk, &ahead);
    FETCH_TILE(c, _MM_HINT_T0)
    multiplySteps(rows, vectors, sum, &left, &right, rightStep, steps, &ahead);
    UNROLLED for (int i = 0; i < rows; i++) {
        UNROLLED for (int j = 0; j < vectors; j++) {
            float *target = c + i * cStride + lanes * j;
            Lanes used = j == vectors - 1 ? last : firstLanes(lanes);
            Vector result = sum[i][j];
            if (accumulate) result = add(loadFirst(used, target), result);
            storeFirst(target, used, result);
        }
    }
}

typedef void Tile(
    const float *left, const float *right, ptrdiff_t rightStep, ptrdiff_t steps, Lanes last, bool accumulate, float *c,
    ptrdiff_t cStride, uintptr_t early, Walk ahead);

#define TILE(ROWS, VECTORS)                                                                                                  \
    KERNEL static void tile##ROWS##x##VECTORS(                                                                               \
        const float *left, const float *right, ptrdiff_t rightStep, ptrdiff_t steps, Lanes last, bool accumulate,        \
        float *c, ptrdiff_t cStride, uintptr_t early, Walk ahead                                                             \
    ) {                                                                                                                      \
        multiplyTile(ROWS, VECTORS, left, right, rightStep, steps, last, accumulate, c, cStride, early, ahead);              \
    }
#define TILES(ROWS) TILE(ROWS, 1) TILE(ROWS, 2)
FOR_EACH_ROW_COUNT(TILES)

#define NAMES(ROWS) {tile##ROWS##x1, tile##ROWS##x2},
static Tile *const tiles[panelRows][panelVectors] = {FOR_EACH_ROW_COUNT(NAMES)};

KERNEL static void multiply(
    const float *left, const float *right, ptrdiff_t rightStep, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t steps,
    bool accumulate, float *c, ptrdiff_t cStride, CKernels_Source next
) {
    int vectors = columns > lanes ? 2 : 1;
    Lanes last = firstLanes(columns - lanes * (vectors - 1));
    Cut rowCut = cut(rows);
    // A walk that stands still costs nothing, and a tile without one would be as much code again.
    Walk ahead = next.start ? walk(next, rowCut.panels) : (Walk){.start = (uintptr_t)right};
    for (ptrdiff_t panel = 0, start = 0; panel < rowCut.panels; start += rowsOf(rowCut, panel), panel++) {
        ptrdiff_t count = rowsOf(rowCut, panel);
        float *tile = c + start * cStride;
        float *following = panel + 1 < rowCut.panels ? tile + count * cStride : c + panelColumns;
        tiles[count - 1][vectors - 1](
            left + start * steps, right, rightStep, steps, last, accumulate, tile, cStride,
            (uintptr_t)(steps > shortChain ? tile : following), ahead);
        ahead.position += (uint64_t)steps * ahead.rate;
    }
}
