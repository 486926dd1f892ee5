#pragma once
// A value read as elements of an earlier one: what Transpose, Reshape, Slice, Split, Gather of one index, Expand and
// products with a scalar do to a tensor without computing anything.
//
// An axis is a number written in digits, the most significant first; each digit steps through the tensor by a stride of
// its own. So merging [B, H] into B*H loses nothing, and splitting it again gives the same digits back.
#include "runtime/graph/graph.h"

namespace tessera {

// A digit of an axis: how many values it takes, and how far one step goes in each of the tensors it is about.
struct Digit {
  std::int64_t size = 1;
  std::vector<std::int64_t> strides{};
  int label = -1;  // the axis of a product it belongs to
};
using Axis = std::vector<Digit>;

std::int64_t size_of(const Axis& a);

// Element (i0, i1, ...) is scale * base[offset + the sum of all digits' steps]. Digits have one stride.
struct StridedView {
  ValueId base = ValueId::none;
  std::int64_t offset = 0;
  double scale = 1;
  std::vector<Axis> axes{};
};

StridedView dense_view(ValueId v, const Shape& shape);
// False where digits would have to be cut unevenly.
bool reshape(StridedView& view, const Shape& shape);
void transpose(StridedView& view, std::span<const std::int64_t> perm);

// The value whose elements node `n` reads for its output `v`; none when `n` computes something. Shapes are known.
ValueId read_through(const Graph& g, const Node& n, ValueId v);
// A view of read_through(g, n, v) becomes one of v. False where strides cannot say it.
bool follow(StridedView& view, const Graph& g, const Node& n, ValueId v);

// All views of v, through as many nodes as there are: the one over the earliest value first, v itself last. Values for
// which `stop` holds are not looked behind. Bases may have narrower floating types than v.
std::vector<StridedView> views_of(const Graph& g, ValueId v, const std::vector<char>& stop = {});

// Brings the digits of several axes of one size to a common division, with the strides of all of them side by side, and
// the labels of the first. Digits of size 1 are kept; where an axis has none, its stride is 0. Nothing when sizes do
// not divide.
std::optional<Axis> refine(const std::vector<Axis>& axes);
// Joins neighbouring digits that step as one, in all tensors, and drops those of size 1.
Axis merged(const Axis& a);

}  // namespace tessera
