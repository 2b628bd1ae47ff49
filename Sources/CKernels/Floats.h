// What a step of a product over k multiplies, for PanelKernels.h: a float of each line.

enum { stepElements = 1 };

// Steps of one line that lie one after the other.
OPERATION Vector stepsOfLine(const float *line) { return load(line); }
// So many elements of a line, fewer than there are in a vector of steps; zeros beyond.
OPERATION Vector lastStepsOfLine(const float *line, ptrdiff_t elements) { return loadFirst(firstLanes(elements), line); }
// One step of some lines that lie side by side.
OPERATION Vector stepOfLines(Lanes first, const float *x, ptrdiff_t stride, bool whole) { return loadFirst(first, x); }
