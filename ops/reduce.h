#pragma once
// Shared by the reductions: which axes go, shape rule, gradient, and the loop over all kinds of axes.
//
// A reduction is a class template over the element type T (sixteen-bit floats arrive as f32):
//   using Acc;                       trivially copyable state of one output
//   static Acc start();
//   static Acc step(Acc, Compute<T>);    inlined into `omp simd` loops
//   static Acc merge(Acc, Acc);
//   static Compute<T> finish(Acc, std::int64_t elements);
// Elements are taken in chunks that depend on the shape only, and merged in a fixed order: the bits of a result do not
// depend on the number of threads.
#include "ops/integer_math.h"
#include "runtime/base/parts.h"
#include "runtime/op/context.h"

namespace tessera {

// What the specification lets sums take.
using Summable = Types<float, double, f16, bf16, std::int64_t, std::int32_t, std::uint64_t, std::uint32_t>;
namespace dtypes {
inline constexpr DTypeSet summable = set_of(Summable{});
}

// Sums of floats are kept in f64, which costs nothing next to reading them; those of integers in 64 bits, wrapping.
template <class T>
using SumOf = std::conditional_t<!std::is_integral_v<T>, double,
                                 std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>;

// Sums of f(element).
template <class T>
struct SumReduction {
  using Acc = SumOf<T>;
  static Acc start() { return 0; }
  static Acc step(Acc a, Compute<T> x) { return wrapping_add(a, static_cast<Acc>(x)); }
  static Acc merge(Acc a, Acc b) { return wrapping_add(a, b); }
  static Compute<T> finish(Acc a, std::int64_t) { return static_cast<Compute<T>>(a); }
};

// Shape rule: input 1 holds the axes (absent or empty: all, or none with noop_with_empty_axes).
void reduced_shape(ShapeContext& c);
// Each output is made of one element, and is that element: for the sums, means, products and extremes.
bool reduces_nothing(const ShapeContext& c);
double reduction_flops(const ShapeContext& c);
// Adapts the versions whose axes were an attribute.
void axes_to_input(RewriteContext& c);
// Completes a reduction's table by what all of them have in common.
constexpr OpDef reduction(OpDef op) {
  op.inputs = {{"data", "T", "any shape"},
               {"axes", "i64", "[n], each in [-rank, rank); absent or empty: all axes", Presence::optional}};
  op.outputs = {{"reduced", "T", "data's shape, with 1 for (or without) each axis of axes"}};
  op.attributes = {{"keepdims", AttributeType::integer, 1, "0: reduced axes are dropped"},
                   {"noop_with_empty_axes", AttributeType::integer, 0, "1: absent or empty axes reduce none"}};
  op.shape_reads = {1};
  op.shape = reduced_shape;
  op.flops = reduction_flops;
  return op;
}

// For gradient rules: v, shaped as the reduction's output, under the shape it has with keepdims=1, which broadcasts
// with the input; and the same reduction by another operator, with keepdims=1.
ValueId with_reduced_axes(GradContext& g, ValueId v);
ValueId reduce_alike(GradContext& g, std::string_view op, ValueId v);
ValueId expanded_like(GradContext& g, ValueId v, ValueId like);
// The gradient rule of the extremes: shared evenly by the elements that equal their output.
std::vector<ValueId> gradient_to_extremes(GradContext& g);
// Elements per output.
double reduced_count(GradContext& g);

// Steps through the elements of a strided block, innermost axis last.
class StridedWalk {
 public:
  StridedWalk(const Shape& dims, const Shape& strides, std::int64_t first);
  std::int64_t offset() const { return offset_; }
  void next();

 private:
  const Shape &dims_, &strides_;
  Shape at_;
  std::int64_t offset_ = 0;
};

// The axes of one reduction: neighbours that stay, and neighbours that go, are merged.
struct ReducedAxes {
  ReducedAxes(const Shape& in, std::span<const std::int64_t> axes, bool all_when_empty);
  explicit ReducedAxes(const KernelContext& k);

  Shape kept, kept_strides, gone, gone_strides;  // without the innermost axis
  std::int64_t width = 1;                        // of the innermost axis, which is contiguous
  bool inner_gone = false;                       // the innermost axis goes
  std::int64_t outputs = 1, per_output = 1;
};

// How many outputs are worked on side by side when the innermost axis stays (many: a row is then read across whole
// pages, and strided page walks cost more than sums kept in the second-level cache), and how many elements are one
// task.
inline constexpr std::int64_t reduction_columns = 16384, reduction_task = 32768;
// How many parts an output is made of at most.
inline constexpr std::int64_t reduction_parts = 64;

// One contiguous run, `lanes` elements side by side, merged as a tree.
template <class R, std::int64_t lanes, class T>
typename R::Acc reduce_lanes(const T* x, std::int64_t n) {
  using C = Compute<T>;
  typename R::Acc lane[lanes];
  std::fill_n(lane, lanes, R::start());
  const std::int64_t whole = n / lanes * lanes;
  for (std::int64_t i = 0; i < whole; i += lanes) {
#pragma omp simd
    for (std::int64_t l = 0; l < lanes; ++l) lane[l] = R::step(lane[l], static_cast<C>(x[i + l]));
  }
  for (std::int64_t i = whole; i < n; ++i) lane[i - whole] = R::step(lane[i - whole], static_cast<C>(x[i]));
  for (std::int64_t half = lanes / 2; half > 0; half /= 2)
    for (std::int64_t l = 0; l < half; ++l) lane[l] = R::merge(lane[l], lane[l + half]);
  return lane[0];
}
template <class R, class T>
typename R::Acc reduce_run(const T* x, std::int64_t n) {
  return n < 16 ? reduce_lanes<R, 1>(x, n) : n < 128 ? reduce_lanes<R, 8>(x, n) : reduce_lanes<R, 32>(x, n);
}

// The innermost axis goes: each output is a sum over runs. Few outputs of many elements are made of parts.
template <class R, class T, class To>
void reduce_rows(const ReducedAxes& axes, const T* x, To* y) {
  const std::int64_t piece = std::min<std::int64_t>(axes.width, reduction_task);
  const std::int64_t pieces = divide_up(axes.width, piece), runs = axes.per_output / axes.width;
  const std::int64_t units = runs * pieces, group = std::max<std::int64_t>(1, reduction_task / piece);
  const std::int64_t groups = divide_up(units, group);
  // Units [first, last) of output o.
  const auto part = [&](std::int64_t o, std::int64_t first, std::int64_t last) {
    const T* base = x + StridedWalk(axes.kept, axes.kept_strides, o).offset();
    StridedWalk walk(axes.gone, axes.gone_strides, first / pieces);
    auto a = R::start();
    for (std::int64_t u = first; u < last; ++u) {
      const std::int64_t begin = u % pieces * piece;
      a = R::merge(a, reduce_run<R>(base + walk.offset() + begin, std::min(piece, axes.width - begin)));
      if ((u + 1) % pieces == 0) walk.next();
    }
    return a;
  };
  const std::int64_t grain = std::max<std::int64_t>(1, reduction_task / axes.per_output);
  if (units == 1 && axes.kept.size() <= 1) {  // rows one after the other
    return run_parallel(axes.outputs, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o)
        y[o] = static_cast<To>(R::finish(reduce_run<R>(x + o * axes.width, axes.width), axes.per_output));
    });
  }
  if (groups == 1 || axes.outputs >= 64) {
    run_parallel(axes.outputs, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o) y[o] = static_cast<To>(R::finish(part(o, 0, units), axes.per_output));
    });
    return;
  }
  const Scratch<typename R::Acc> parts(axes.outputs * groups);
  run_parallel(axes.outputs * groups, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t first = i % groups * group;
      parts[i] = part(i / groups, first, std::min(units, first + group));
    }
  });
  for (std::int64_t o = 0; o < axes.outputs; ++o) {
    auto a = parts[o * groups];
    for (std::int64_t p = 1; p < groups; ++p) a = R::merge(a, parts[o * groups + p]);
    y[o] = static_cast<To>(R::finish(a, axes.per_output));
  }
}

// The innermost axis stays: blocks of neighbouring outputs take row after row. Few blocks of many rows are made of
// parts.
template <class R, class T, class To>
void reduce_columns(const ReducedAxes& axes, const T* x, To* y) {
  using Acc = typename R::Acc;
  const std::int64_t block = std::min(axes.width, reduction_columns), rows = axes.per_output;
  const std::int64_t blocks = divide_up(axes.width, block), tasks = axes.outputs / axes.width * blocks;
  const std::int64_t group = std::max({std::int64_t{1}, 2 * reduction_task / block, rows / reduction_parts});
  const std::int64_t groups = divide_up(rows, group);
  const auto columns = [&](std::int64_t task) { return std::min(block, axes.width - task % blocks * block); };
  // Rows [first, last) of a task, into a[0, columns).
  const auto part = [&](std::int64_t task, std::int64_t first, std::int64_t last, Acc* a) {
    const T* base = x + StridedWalk(axes.kept, axes.kept_strides, task / blocks).offset() + task % blocks * block;
    const std::int64_t n = columns(task);
    std::fill_n(a, n, R::start());
    StridedWalk walk(axes.gone, axes.gone_strides, first);
    for (std::int64_t r = first; r < last; ++r, walk.next()) {
      const T* row = base + walk.offset();
#pragma omp simd
      for (std::int64_t c = 0; c < n; ++c) a[c] = R::step(a[c], static_cast<Compute<T>>(row[c]));
    }
  };
  const auto store = [&](std::int64_t task, const Acc* a) {
    To* to = y + task / blocks * axes.width + task % blocks * block;
    const std::int64_t n = columns(task);
    for (std::int64_t c = 0; c < n; ++c) to[c] = static_cast<To>(R::finish(a[c], rows));
  };
  if (groups == 1 || tasks >= 64) {
    const std::int64_t grain = std::max<std::int64_t>(1, reduction_task / (rows * block));
    run_parallel(tasks, grain, [&](std::int64_t begin, std::int64_t end) {
      const Scratch<Acc> a(block);
      for (std::int64_t task = begin; task < end; ++task) {
        part(task, 0, rows, a.data());
        store(task, a.data());
      }
    });
    return;
  }
  const Scratch<Acc> parts(tasks * groups * block);
  const auto at = [&](std::int64_t task, std::int64_t g) { return parts.data() + (task * groups + g) * block; };
  run_parallel(tasks * groups, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t task = i / groups, g = i % groups;
      part(task, g * group, std::min(rows, (g + 1) * group), at(task, g));
    }
  });
  for (std::int64_t task = 0; task < tasks; ++task) {
    Acc* a = at(task, 0);
    const std::int64_t n = columns(task);
    for (std::int64_t g = 1; g < groups; ++g)
      for (std::int64_t c = 0; c < n; ++c) a[c] = R::merge(a[c], at(task, g)[c]);
    store(task, a);
  }
}

// out 0 = in 0 reduced by R<T> over the axes of input 1.
template <class Supported, template <class> class R>
void reduce(const KernelContext& k) {
  const ReducedAxes axes(k);
  with_type(Supported{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const T* x = k.in(0).template read<T>().data();
    const auto y = k.out(0).template write<T>();
    if (k.in(0).size() == 0) {  // reductions of empty sets, if any
      std::fill(y.begin(), y.end(), static_cast<T>(R<T>::finish(R<T>::start(), 0)));
    } else if (axes.inner_gone) {
      reduce_rows<R<T>>(axes, x, y.data());
    } else {
      reduce_columns<R<T>>(axes, x, y.data());
    }
  });
}

}  // namespace tessera
