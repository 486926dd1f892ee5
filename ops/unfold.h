#pragma once
// Windows as columns: the unfolded input has a row per (channel, tap) and a column per output position. Pieces of it
// are written and read here; x is one sample's channels of one group, [channels, in...]. Runs on the calling thread.
#include "ops/window.h"

namespace tessera {

// A piece: rows [row, row + rows), columns [column, column + columns), row-major and dense.
struct UnfoldedPiece {
  std::int64_t row, rows, column, columns;
};

// Writes a piece; zeros where a window reaches into the padding.
template <class T>
void unfold(const Window& window, const UnfoldedPiece& piece, const T* x, T* to);

// Adds the elements of a piece to the places of x they were read from.
template <class T>
void fold(const Window& window, const UnfoldedPiece& piece, const T* from, T* x);

}  // namespace tessera
