#include <cstring>

#include "ops/elementwise.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

// How X is read: [B x H x L x D] as it stands, or [B x L x H*D] with num_heads.
struct Layout {
  std::int64_t batch, heads, length, head_dim, rotated;
  std::int64_t batch_stride, head_stride, row_stride;  // elements
};

Layout layout_of(const Shape& x, const AttributeReader& attr) {
  Layout l{};
  const std::int64_t heads = attr.integer("num_heads");
  if (x.rank() == 4) {
    l = {x[0], x[1], x[2], x[3], 0, x[1] * x[2] * x[3], x[2] * x[3], x[3]};
  } else {
    check(x.rank() == 3, "X must be [B x H x L x D] or [B x L x H*D], got ", x);
    check(heads > 0 && x[2] % heads == 0, "num_heads ", heads, " does not divide the last dim of ", x);
    const std::int64_t dim = x[2] / heads;
    l = {x[0], heads, x[1], dim, 0, x[1] * x[2], dim, x[2]};
  }
  const std::int64_t asked = attr.integer("rotary_embedding_dim");
  l.rotated = asked == 0 ? l.head_dim : asked;
  check(l.rotated % 2 == 0 && l.rotated > 0 && l.rotated <= l.head_dim, "rotary_embedding_dim ", l.rotated,
        " must be even and at most the head dim ", l.head_dim);
  return l;
}

void shape(ShapeContext& c) {
  const Layout l = layout_of(c.in(0), c.attr);
  check(c.in(1) == c.in(2), "cos_cache ", c.in(1), " and sin_cache ", c.in(2), " differ");
  if (c.has(3)) {
    check(c.rank(1) == 2 && c.in(1)[1] == l.rotated / 2, "caches must be [positions x ", l.rotated / 2, "], got ",
          c.in(1));
    check(c.in(3) == (Shape{l.batch, l.length}), "position_ids must be [", l.batch, "x", l.length, "], got ", c.in(3));
  } else {
    check(c.in(1) == (Shape{l.batch, l.length, l.rotated / 2}), "caches must be [", l.batch, "x", l.length, "x",
          l.rotated / 2, "], got ", c.in(1));
  }
  c.out(0, c.in(0));
}

// (a, b) -> (a cos - b sin, a sin + b cos) for `half` pairs; pairs are neighbours, or the two halves.
template <bool interleaved, class T>
void rotate(const T* x, const T* cos, const T* sin, T* y, std::int64_t half) {
  using C = Compute<T>;
  constexpr std::int64_t step = interleaved ? 2 : 1;  // known to the compiler: pairs are loaded whole and shuffled
  const std::int64_t other = interleaved ? 1 : half;
#pragma omp simd
  for (std::int64_t i = 0; i < half; ++i) {
    const C a = static_cast<C>(x[i * step]), b = static_cast<C>(x[i * step + other]);
    const C c = static_cast<C>(cos[i]), s = static_cast<C>(sin[i]);
    store(y[i * step], a * c - b * s);
    store(y[i * step + other], a * s + b * c);
  }
}

void kernel(const KernelContext& k) {
  const Layout l = layout_of(k.in(0).shape(), k.attr);
  const bool interleaved = k.attr.flag("interleaved");
  const std::int64_t half = l.rotated / 2;
  const std::int64_t* positions = k.has(3) ? k.in(3).read<std::int64_t>().data() : nullptr;
  const std::int64_t known = k.in(1).rank() == 2 ? k.in(1).dim(0) : 0;
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const T *x = k.in(0).read<T>().data(), *cos = k.in(1).read<T>().data(), *sin = k.in(2).read<T>().data();
    T* y = k.out(0).write<T>().data();
    const std::int64_t tokens = l.batch * l.length, per_token = l.heads * l.head_dim;
    run_parallel(tokens, std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, per_token)),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t t = begin; t < end; ++t) {
                     const std::int64_t at = positions ? positions[t] : t;
                     check(!positions || (at >= 0 && at < known), "position ", at, " is outside the caches' ", known);
                     for (std::int64_t h = 0; h < l.heads; ++h) {
                       const std::int64_t from =
                           t / l.length * l.batch_stride + h * l.head_stride + t % l.length * l.row_stride;
                       if (interleaved)
                         rotate<true>(x + from, cos + at * half, sin + at * half, y + from, half);
                       else
                         rotate<false>(x + from, cos + at * half, sin + at * half, y + from, half);
                       if (l.rotated < l.head_dim && x != y)
                         std::memcpy(y + from + l.rotated, x + from + l.rotated,
                                     static_cast<std::size_t>(l.head_dim - l.rotated) * sizeof(T));
                     }
                   }
                 });
  });
}

// The features of X that are rotated, as [B x L x H x half]: the first or the second of each pair.
ValueId pair_member(GradContext& g, ValueId x, const Layout& l, bool second) {
  if (g.shape(x)->rank() == 3)
    x = reshaped(g, x, Shape{l.batch, l.length, l.heads, l.head_dim});
  else
    x = g.node("Transpose", {x}, {{"perm", std::vector<std::int64_t>{0, 2, 1, 3}}});
  const std::int64_t half = l.rotated / 2, step = g.attr().flag("interleaved") ? 2 : 1;
  const std::int64_t begin = second ? (step == 2 ? 1 : half) : 0;
  return g.node("Slice",
                {x, g.ints({begin}), g.ints({step == 2 ? l.rotated : begin + half}), g.ints({3}), g.ints({step})});
}

// What reaches a cache: summed over heads, and scattered to the rows that positions read.
ValueId to_cache(GradContext& g, ValueId products, int cache) {
  const ValueId sum = g.node("ReduceSum", {products, g.ints({2})}, {{"keepdims", std::int64_t{0}}});
  if (!g.has(3)) return sum;
  const ValueId zeros = g.node("Expand", {g.scalar_like(sum, 0), g.ints(*g.shape(g.in(cache)))});
  return g.node("ScatterND", {zeros, g.node("Unsqueeze", {g.in(3), g.ints({-1})}), sum},
                {{"reduction", std::string("add")}});
}

// A rotation's transpose is the rotation back: sin changes sign. With pairs (a, b): dcos = da a + db b, dsin = db a -
// da b.
std::vector<ValueId> gradient(GradContext& g) {
  std::vector<ValueId> back{g.dout(0), g.in(1), g.node("Neg", {g.in(2)})};
  if (g.has(3)) back.push_back(g.in(3));
  std::vector<ValueId> out{g.node("RotaryEmbedding", back, g.attr().all()), ValueId::none, ValueId::none};
  if (!g.needs(1) && !g.needs(2)) return out;
  const Layout l = layout_of(*g.shape(g.in(0)), g.attr());
  const ValueId a = pair_member(g, g.in(0), l, false), b = pair_member(g, g.in(0), l, true);
  const ValueId da = pair_member(g, g.dout(0), l, false), db = pair_member(g, g.dout(0), l, true);
  const auto times = [&](ValueId x, ValueId y) { return g.node("Mul", {x, y}); };
  out[1] = to_cache(g, g.node("Add", {times(da, a), times(db, b)}), 1);
  out[2] = to_cache(g, g.node("Sub", {times(db, a), times(da, b)}), 2);
  return out;
}

}  // namespace

extern constinit const OpDef op_rotary_embedding = define({
    .name = "RotaryEmbedding",
    .since = 23,
    .introduced = 23,
    .doc =
        "Rotates pairs of features by the angle of their position: (a, b) -> (a cos - b sin, a sin + b cos). Pairs are "
        "(i, i + half), or neighbours when interleaved. Features beyond rotary_embedding_dim pass through.",
    .source = "ONNX RotaryEmbedding-23; Su et al. 2021, arXiv:2104.09864",
    .inputs = {{"X", "T", "[B x H x L x D], or [B x L x H*D] with num_heads"},
               {"cos_cache", "T", "[positions x D/2] with position_ids, else [B x L x D/2]"},
               {"sin_cache", "T", "as cos_cache"},
               {"position_ids", "i64", "[B x L]", Presence::optional}},
    .outputs = {{"Y", "T", "shape of X"}},
    .attributes = {{"interleaved", AttributeType::integer, 0, "1: pairs are neighbours"},
                   {"num_heads", AttributeType::integer, 0, "needed for an X of rank 3"},
                   {"rotary_embedding_dim", AttributeType::integer, 0, "features rotated per head; 0: all"}},
    .types = {{"T", dtypes::floats}},
    .shape = shape,
    .in_place = {{0, 0}},
    .flops = [](const ShapeContext& c) { return 3.0 * static_cast<double>(count(c.in(0))); },
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{{{1, 2, 3, 4}}}}; {{{0, 1}}}; {{{1, 0}}} -> {{{{-3, 2, 1, 4}}}}",
                 "{{{{1, 2, 3, 4}}}}; {{{0, 1}}}; {{{1, 0}}}; interleaved=1 -> {{{{-2, 1, 3, 4}}}}",
                 "{{{1, 2, 3, 4}}}; {{1}, {0}}; {{0}, {1}}; i64{{1}}; num_heads=2 -> {{{-2, 1, -4, 3}}}",
                 "{{{{1, 2, 3}}}}; {{{0}}}; {{{1}}}; rotary_embedding_dim=2 -> {{{{-2, 1, 3}}}}"},
});

}  // namespace tessera
