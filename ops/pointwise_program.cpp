#include "ops/pointwise_program.h"

#include <algorithm>
#include <cstring>

#include "runtime/op/infer.h"

namespace tessera {
namespace {

// Elements of a tile: three or four buffers of f32 fit 48 KiB, and the cost of calling a kernel stays small.
constexpr std::int64_t tile_elements = 4096;
// Elements of a parallel chunk, as of other pointwise operators.
constexpr std::int64_t chunk_elements = 32768;

constexpr std::size_t most_slots = 64;

// The bit of a slot in the set of slots that have an axis.
std::uint64_t bit(std::size_t slot) { return std::uint64_t{1} << slot; }

bool in_place_allowed(const OpDef& op, int input) {
  return std::any_of(op.in_place.begin(), op.in_place.end(), [&](const InPlace& p) { return p.in == input; });
}

}  // namespace

std::vector<DType> dtypes_of_slots(std::span<const PointwiseStep> steps, std::span<const DType> inputs) {
  std::vector<DType> all(inputs.begin(), inputs.end());
  for (const auto& step : steps) {
    std::vector<DType> in;
    for (const int i : step.in) in.push_back(i < 0 ? DType::undefined : all[static_cast<std::size_t>(i)]);
    all.push_back(infer_dtypes(*step.op, step.attributes, in, 1)[0]);
  }
  return all;
}

std::vector<TensorType> types_of_slots(std::span<const PointwiseStep> steps, std::span<const TensorType> inputs) {
  std::vector<TensorType> all(inputs.begin(), inputs.end());
  check(all.size() + steps.size() <= most_slots, "at most ", most_slots, " inputs and steps, got ",
        all.size() + steps.size());
  for (const auto& step : steps) {
    std::vector<DType> dtypes;
    std::vector<const Shape*> shapes;
    Shape common;
    for (const int i : step.in) {
      const TensorType* t = i < 0 ? nullptr : &all[static_cast<std::size_t>(i)];
      dtypes.push_back(t ? t->dtype : DType::undefined);
      shapes.push_back(t ? &t->shape : nullptr);
      if (t) common = broadcast(common, t->shape);
    }
    const std::vector<const Tensor*> values(shapes.size());
    const DType dtype = infer_dtypes(*step.op, step.attributes, dtypes, 1)[0];
    const auto out = infer_shapes(*step.op, step.attributes, dtypes, shapes, values, 1);
    check(out && (*out)[0] == common, step.op->name, " is not pointwise on these shapes");
    all.push_back({dtype, common});
  }
  return all;
}

PointwiseProgram::PointwiseProgram(std::vector<PointwiseStep> steps, std::span<const TensorType> inputs)
    : steps_(std::move(steps)), inputs_(static_cast<int>(inputs.size())) {
  const auto types = types_of_slots(steps_, inputs);
  merge_axes(types);
  if (count(types.back().shape) == 0) return;
  choose_tile();
  place_buffers();
}

void PointwiseProgram::merge_axes(std::span<const TensorType> types) {
  for (const auto& t : types) slots_.push_back({t.dtype, {}, -1});
  const Shape& out = types.back().shape;
  std::vector<std::uint64_t> having;  // by merged axis
  for (int axis = out.rank() - 1; axis >= 0; --axis) {
    const std::int64_t dim = out[static_cast<std::size_t>(axis)];
    std::uint64_t has = 0;
    for (std::size_t s = 0; s < types.size(); ++s) {
      const int own = axis - (out.rank() - types[s].shape.rank());
      check(own >= 0 || types[s].shape.rank() <= out.rank(), "the result has fewer axes than an input");
      const std::int64_t d = own < 0 ? 1 : types[s].shape[static_cast<std::size_t>(own)];
      check(d == 1 || d == dim, "an input is larger than the result ", out);
      if (d != 1) has |= bit(s);
    }
    if (dim == 1) continue;
    if (!having.empty() && having.back() == has) {
      dims_.back() *= dim;
    } else {
      having.push_back(has);
      dims_.push_back(dim);
    }
  }
  if (dims_.empty()) having.push_back(0), dims_.push_back(1);
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    std::int64_t dense = 1;
    for (std::size_t a = 0; a < dims_.size(); ++a) {
      const bool has = (having[a] & bit(s)) != 0;
      slots_[s].strides.push_back(has ? dense : 0);
      if (has) dense *= dims_[a];
    }
  }
}

void PointwiseProgram::choose_tile() {
  std::int64_t inner = 1;
  while (axis_ + 1 < dims_.size() && inner * dims_[axis_] <= tile_elements) inner *= dims_[axis_++];
  rows_ = std::clamp<std::int64_t>(tile_elements / inner, 1, dims_[axis_]);
  parts_ = (dims_[axis_] - 1) / rows_ + 1;
  tiles_ = parts_;
  for (std::size_t a = axis_ + 1; a < dims_.size(); ++a) tiles_ *= dims_[a];
  std::size_t widest = 1;
  for (const auto& s : slots_) widest = std::max(widest, size_of(s.dtype));
  buffer_bytes_ = (static_cast<std::size_t>(inner * rows_) * widest + 63) / 64 * 64;
}

bool PointwiseProgram::dies_at(int slot, int step) const {
  for (std::size_t later = static_cast<std::size_t>(step) + 1; later < steps_.size(); ++later)
    for (const int i : steps_[later].in)
      if (i == slot) return false;
  return true;
}

// A result takes the place of an operand that nobody reads later, where the operator allows that; else a free buffer.
void PointwiseProgram::place_buffers() {
  std::vector<int> free;
  for (std::size_t s = 0; s + 1 < steps_.size(); ++s) {
    const auto& step = steps_[s];
    Slot& out = slots_[static_cast<std::size_t>(inputs_) + s];
    std::vector<int> dying;  // buffers
    for (std::size_t i = 0; i < step.in.size(); ++i) {
      if (step.in[i] < inputs_ || !dies_at(step.in[i], static_cast<int>(s))) continue;
      const Slot& in = slots_[static_cast<std::size_t>(step.in[i])];
      const bool twice = std::count(step.in.begin(), step.in.end(), step.in[i]) > 1;
      if (out.buffer < 0 && !twice && in_place_allowed(*step.op, static_cast<int>(i)) && in.strides == out.strides &&
          size_of(in.dtype) == size_of(out.dtype))
        out.buffer = in.buffer;
      else if (std::find(dying.begin(), dying.end(), in.buffer) == dying.end())
        dying.push_back(in.buffer);
    }
    if (out.buffer < 0 && !free.empty()) out.buffer = free.back(), free.pop_back();
    if (out.buffer < 0) out.buffer = buffers_++;
    free.insert(free.end(), dying.begin(), dying.end());
  }
  // The last step writes the result's tile, which may be an input's.
  const auto& last = steps_.back();
  for (int input = 0; input < inputs_; ++input) {
    bool safe = std::count(last.in.begin(), last.in.end(), input) <= 1;
    for (std::size_t i = 0; i < last.in.size(); ++i)
      safe = safe && (last.in[i] != input || in_place_allowed(*last.op, static_cast<int>(i)));
    may_alias_.push_back(safe);
  }
}

Shape PointwiseProgram::tile_shape(const Slot& slot, std::int64_t rows) const {
  Shape shape;
  for (std::size_t a = axis_ + 1; a-- > 0;) {
    const std::int64_t dim = a == axis_ ? rows : dims_[a];
    shape.push_back(slot.strides[a] == 0 ? 1 : dim);
  }
  return shape;
}

// The tensors of one thread, and the calls to make for each tile.
class PointwiseProgram::Tiles {
 public:
  Tiles(const PointwiseProgram& p, const KernelContext& k)
      : p_(p),
        k_(k),
        staged_(writes_over_unsafe_input()),
        buffers_(p.buffer_bytes_ * static_cast<std::size_t>(p.buffers_ + 1)) {
    tensors_.resize(p.slots_.size());
    arguments_.reserve(p.slots_.size() * 4);
    results_.reserve(p.steps_.size());
    contexts_.reserve(p.steps_.size());
    std::vector<std::size_t> begin;
    for (const auto& step : p.steps_) {
      begin.push_back(arguments_.size());
      for (const int i : step.in) arguments_.push_back(i < 0 ? nullptr : &tensors_[static_cast<std::size_t>(i)]);
      results_.push_back(&tensors_[static_cast<std::size_t>(p.inputs_) + results_.size()]);
    }
    for (std::size_t s = 0; s < p.steps_.size(); ++s)
      contexts_.emplace_back(*p.steps_[s].op, p.steps_[s].attributes,
                             std::span<const Tensor* const>(arguments_.data() + begin[s], p.steps_[s].in.size()),
                             std::span<Tensor* const>(&results_[s], 1));
  }

  void run(std::int64_t tile) {
    const std::int64_t first = tile % p_.parts_ * p_.rows_;
    set_rows(std::min(p_.rows_, p_.dims_[p_.axis_] - first));
    for (int i = 0; i < p_.inputs_; ++i)
      tensors_[static_cast<std::size_t>(i)].point_to(at(k_.in(i), p_.slots_[static_cast<std::size_t>(i)], tile, first));
    void* out = at(k_.out(0), p_.slots_.back(), tile, first);
    Tensor& result = tensors_.back();
    result.point_to(staged_ ? buffer(p_.buffers_) : out);
    for (const auto& context : contexts_) context.op.kernel(context);
    if (staged_) std::memcpy(out, result.raw(), result.bytes());
  }

 private:
  void* buffer(int i) const {
    return static_cast<char*>(buffers_.data()) + p_.buffer_bytes_ * static_cast<std::size_t>(i);
  }

  // Where the tile's part of a tensor begins.
  void* at(const Tensor& t, const Slot& slot, std::int64_t tile, std::int64_t first) const {
    std::int64_t offset = first * slot.strides[p_.axis_], outer = tile / p_.parts_;
    for (std::size_t a = p_.axis_ + 1; a < p_.dims_.size(); outer /= p_.dims_[a++])
      offset += outer % p_.dims_[a] * slot.strides[a];
    return static_cast<char*>(t.raw()) + static_cast<std::size_t>(offset) * size_of(slot.dtype);
  }

  void set_rows(std::int64_t rows) {
    if (rows == rows_) return;
    rows_ = rows;
    for (std::size_t s = 0; s < tensors_.size(); ++s) {
      const Slot& slot = p_.slots_[s];
      tensors_[s] =
          Tensor::borrow(slot.dtype, p_.tile_shape(slot, rows), slot.buffer < 0 ? nullptr : buffer(slot.buffer));
    }
  }

  bool writes_over_unsafe_input() const {
    for (int i = 0; i < p_.inputs_; ++i)
      if (k_.in(i).raw() == k_.out(0).raw() && !p_.may_alias_[static_cast<std::size_t>(i)]) return true;
    return false;
  }

  const PointwiseProgram& p_;
  const KernelContext& k_;
  const bool staged_;  // the last step may not write where it reads: by way of a buffer
  const ScratchBlock buffers_;
  std::int64_t rows_ = 0;
  std::vector<Tensor> tensors_;           // by slot
  std::vector<const Tensor*> arguments_;  // of all steps
  std::vector<Tensor*> results_;
  std::vector<KernelContext> contexts_;
};

void PointwiseProgram::run(const KernelContext& k) const {
  if (k.out(0).size() == 0) return;
  const std::int64_t per_tile = k.out(0).size() / tiles_;
  run_parallel(tiles_, std::max<std::int64_t>(1, chunk_elements / std::max<std::int64_t>(1, per_tile)),
               [&](std::int64_t begin, std::int64_t end) {
                 Tiles tiles(*this, k);
                 for (std::int64_t t = begin; t < end; ++t) tiles.run(t);
               });
}

}  // namespace tessera
