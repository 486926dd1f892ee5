#include <cstring>

#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  check(c.rank(0) >= 2, "input must have rank 2 or more, got shape ", c.in(0));
  const std::int64_t batch = c.attr.integer("batch_axis"), time = c.attr.integer("time_axis");
  check((batch == 0 && time == 1) || (batch == 1 && time == 0), "batch_axis and time_axis must be 0 and 1, got ", batch,
        " and ", time);
  const std::int64_t batches = c.in(0)[static_cast<std::size_t>(batch)];
  check(c.in(1) == Shape{batches}, "sequence_lens must have shape [", batches, "], got ", c.in(1));
  c.out(0, c.in(0));
}

void kernel(const KernelContext& k) {
  const Tensor& x = k.in(0);
  if (x.size() == 0) return;
  const bool batch_first = k.attr.integer("batch_axis") == 0;
  const std::int64_t batches = x.dim(batch_first ? 0 : 1), times = x.dim(batch_first ? 1 : 0);
  const auto bytes = static_cast<std::int64_t>(x.bytes()) / (batches * times);
  const std::int64_t* lengths = k.in(1).read<std::int64_t>().data();
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(k.out(0).raw());
  const auto place = [&](std::int64_t b, std::int64_t t) {
    return (batch_first ? b * times + t : t * batches + b) * bytes;
  };
  run_parallel(
      batches, std::max<std::int64_t>((128 << 10) / (times * bytes), 1), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t b = begin; b < end; ++b) {
          check(0 <= lengths[b] && lengths[b] <= times, "sequence length ", lengths[b], " is outside [0, ", times, "]");
          for (std::int64_t t = 0; t < times; ++t) {
            const std::int64_t source = t < lengths[b] ? lengths[b] - 1 - t : t;
            std::memcpy(to + place(b, t), from + place(b, source), static_cast<std::size_t>(bytes));
          }
        }
      });
}

// Its own inverse.
std::vector<ValueId> gradient(GradContext& g) {
  return {g.node("ReverseSequence", {g.dout(0), g.in(1)}, g.attr().all())};
}

}  // namespace

extern constinit const OpDef op_reverse_sequence = define({
    .name = "ReverseSequence",
    .since = 10,
    .introduced = 10,
    .doc = "The first sequence_lens[b] steps of each sequence b in reverse order, the others as they are.",
    .source = "ONNX ReverseSequence-10",
    .inputs = {{"input", "T", "[times, batches, ...] or [batches, times, ...]"}, {"sequence_lens", "i64", "[batches]"}},
    .outputs = {{"Y", "T", "shape of input"}},
    .attributes = {{"batch_axis", AttributeType::integer, 1, "0 or 1"},
                   {"time_axis", AttributeType::integer, 0, "the other one"}},
    .types = {{"T", dtypes::all}},
    .shape = shape,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{1, 2}, {3, 4}, {5, 6}}; i64{3, 2} -> {{5, 4}, {3, 2}, {1, 6}}",
                 "{{1, 2, 3}, {4, 5, 6}}; i64{0, 2}; batch_axis=0; time_axis=1 -> {{1, 2, 3}, {5, 4, 6}}"},
});

}  // namespace tessera
