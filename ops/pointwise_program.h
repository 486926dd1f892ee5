#pragma once
// Runs a program of pointwise operators over large tensors tile by tile: intermediate results live in a few buffers
// that fit a core's first cache, each input is read from memory once and the result written once. The operators' own
// kernels run on the tiles, so the bits are those of the operators one after another.
//
// Axes along which all tensors are either full or broadcast alike are merged; a tile is whole in the inner axes and
// takes a range of the first axis that does not fit. Made once per plan, immutable. Thread rule: const use is free.
#include "ops/pointwise_steps.h"
#include "runtime/op/context.h"

namespace tessera {

// Element types and shapes of all slots, inputs first. Error(bad_input) where a step does not fit its operands.
std::vector<TensorType> types_of_slots(std::span<const PointwiseStep> steps, std::span<const TensorType> inputs);
std::vector<DType> dtypes_of_slots(std::span<const PointwiseStep> steps, std::span<const DType> inputs);

class PointwiseProgram {
 public:
  PointwiseProgram(std::vector<PointwiseStep> steps, std::span<const TensorType> inputs);
  // Output 0 may lie over any input of its shape and element size.
  void run(const KernelContext& k) const;

 private:
  struct Slot {
    DType dtype;
    std::vector<std::int64_t> strides;  // per merged axis, in elements; 0 where broadcast
    int buffer = -1;                    // of a step's result; -1: an input, or the program's output
  };
  class Tiles;

  void merge_axes(std::span<const TensorType> types);
  void choose_tile();
  void place_buffers();
  bool dies_at(int slot, int step) const;
  Shape tile_shape(const Slot& slot, std::int64_t rows) const;

  std::vector<PointwiseStep> steps_;
  int inputs_;
  std::vector<Slot> slots_;
  std::vector<std::int64_t> dims_;                 // merged axes, innermost first
  std::size_t axis_ = 0;                           // the tiled one
  std::int64_t rows_ = 1, parts_ = 1, tiles_ = 0;  // indices of that axis per tile; tiles along it; tiles in all
  std::size_t buffer_bytes_ = 0;
  int buffers_ = 0;
  std::vector<char> may_alias_;  // by input: the last step may write over it
};

}  // namespace tessera
