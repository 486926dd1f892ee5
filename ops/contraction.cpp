#include "ops/contraction.h"

#include <algorithm>
#include <optional>

#include "ops/elementwise.h"
#include "ops/strided_copy.h"

namespace tessera {

int Labelled::find(int label) const {
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] == label) return static_cast<int>(i);
  return -1;
}

Labelled row_major(const Labels& labels, const Shape& dims) { return {labels, dims, row_major_strides(dims)}; }

namespace {

std::int64_t dim_of(const Labelled& t, int label) { return t.dims[static_cast<std::size_t>(t.find(label))]; }
std::int64_t stride_of(const Labelled& t, int label) {
  const int axis = t.find(label);
  return axis < 0 ? 0 : t.strides[static_cast<std::size_t>(axis)];
}
Shape strides_of(const Labelled& t, const Labels& labels) {
  Shape strides;
  for (const int l : labels) strides.push_back(stride_of(t, l));
  return strides;
}
Shape dims_of(const Labelled& t, const Labels& labels) {
  Shape dims;
  for (const int l : labels) dims.push_back(dim_of(t, l));
  return dims;
}

void drop_single_elements(Labelled& t) {
  Labelled kept;
  for (std::size_t i = 0; i < t.labels.size(); ++i) {
    if (t.dims[i] == 1) continue;
    kept.labels.push_back(t.labels[i]);
    kept.dims.push_back(t.dims[i]);
    kept.strides.push_back(t.strides[i]);
  }
  t = kept;
}

Labels joined(std::initializer_list<const Labels*> parts) {
  Labels all;
  for (const auto* p : parts) all.append(p->begin(), p->end());
  return all;
}

// The stride with which `group` is one axis of t; nothing when its axes do not merge. No labels: an axis of one
// element.
std::optional<std::int64_t> merged_stride(const Labelled& t, const Labels& group) {
  if (group.empty()) return 1;
  const std::int64_t inner = stride_of(t, group.back());
  std::int64_t next = inner * dim_of(t, group.back());
  for (std::size_t i = group.size() - 1; i-- > 0; next *= dim_of(t, group[i]))
    if (stride_of(t, group[i]) != next) return std::nullopt;
  return inner;
}

// t as a matrix [rows x columns], without its batch strides; nothing when it must be copied for that.
std::optional<MatrixLayout> as_matrix(const Labelled& t, const Labels& rows, const Labels& columns) {
  const auto r = merged_stride(t, rows), c = merged_stride(t, columns);
  if (!r || !c) return std::nullopt;
  const std::int64_t height = count(dims_of(t, rows)), width = count(dims_of(t, columns));
  if (columns.empty() || *c == 1) {
    if (rows.empty()) return MatrixLayout{width, false};
    if (*r >= width) return MatrixLayout{*r, false};
  }
  if (rows.empty() || *r == 1) {
    if (columns.empty()) return MatrixLayout{height, true};
    if (*c >= height) return MatrixLayout{*c, true};
  }
  return std::nullopt;
}

}  // namespace

// The labels by their part in the product; batch, rows and columns in the order of the result.
struct Contraction::Groups {
  Labels batch, rows, columns, summed;
};

// With split_rows, rows (columns) whose axes do not merge in `out` are taken one outer index at a time, as batch axes.
Contraction::Groups Contraction::group(const Labelled& a, const Labelled& b, const Labelled& out,
                                       bool split_rows) const {
  Groups g;
  for (const int l : out.labels) {
    const bool in_a = a.find(l) >= 0, in_b = b.find(l) >= 0;
    check(in_a || in_b, Code::internal, "a label of the result is in no operand");
    (in_a && in_b ? g.batch : in_a ? g.rows : g.columns).push_back(l);
  }
  for (const int l : a.labels) {
    if (out.find(l) >= 0) continue;
    check(b.find(l) >= 0, Code::internal, "a label to sum over is in one operand only");
    g.summed.push_back(l);
  }
  for (const int l : b.labels)
    check(out.find(l) >= 0 || a.find(l) >= 0, Code::internal, "a label to sum over is in one operand only");
  // The order of the summed labels is free: b's, where a's would not merge in both.
  if (!merged_stride(a, g.summed) || !merged_stride(b, g.summed)) {
    Labels other;
    for (const int l : b.labels)
      if (std::find(g.summed.begin(), g.summed.end(), l) != g.summed.end()) other.push_back(l);
    if (merged_stride(b, other)) g.summed = other;
  }
  if (!split_rows) return g;
  const auto split = [&](Labels& group) {
    while (!merged_stride(out, group)) {
      g.batch.push_back(group.front());
      group.erase(group.begin());
    }
  };
  split(g.rows);
  split(g.columns);
  std::sort(g.batch.begin(), g.batch.end(), [&](int x, int y) { return out.find(x) < out.find(y); });
  return g;
}

Contraction::Contraction(Labelled a, Labelled b, Labelled out) {
  for (auto* t : {&a, &b, &out}) drop_single_elements(*t);
  dims_ = out.dims;
  multiplies_only_ = true;
  for (const int l : a.labels) multiplies_only_ = multiplies_only_ && out.find(l) >= 0;
  if (multiplies_only_) {
    a_strides_ = strides_of(a, out.labels);
    b_strides_ = strides_of(b, out.labels);
    return;
  }
  Groups g = group(a, b, out, true);
  // Cutting the result into slivers would cost more than copying it.
  constexpr std::int64_t sliver = 1024;
  if (count(dims_of(out, g.rows)) * count(dims_of(out, g.columns)) < sliver) g = group(a, b, out, false);

  auto c = as_matrix(out, g.rows, g.columns);
  if (!c || c->transposed) {
    if (const auto turned = as_matrix(out, g.columns, g.rows); turned && !turned->transposed) {
      swapped_ = true;
      std::swap(a, b);
      std::swap(g.rows, g.columns);
      c = turned;
    }
  }
  const auto laid_out = [&](Labelled& t, const Labels& rows, const Labels& columns, Repacking& copy, bool& copies) {
    auto layout = as_matrix(t, rows, columns);
    if (!layout) {
      Labels batch;
      for (const int l : g.batch)
        if (t.find(l) >= 0) batch.push_back(l);
      const Labels order = joined({&batch, &rows, &columns});
      const Labelled packed = row_major(order, dims_of(t, order));
      copy = {packed.dims, strides_of(t, order), packed.strides};
      copies = true;
      t = packed;
      layout = as_matrix(t, rows, columns);
    }
    layout->batch_strides = strides_of(t, g.batch);
    return *layout;
  };
  product_.batch = dims_of(out, g.batch);
  product_.m = count(dims_of(out, g.rows));
  product_.n = count(dims_of(out, g.columns));
  product_.k = count(dims_of(a, g.summed));
  product_.a = laid_out(a, g.rows, g.summed, a_copy_, copies_a_);
  product_.b = laid_out(b, g.summed, g.columns, b_copy_, copies_b_);
  if (c && !c->transposed) {
    c->batch_strides = strides_of(out, g.batch);
    product_.c = *c;
    return;
  }
  const Labels order = joined({&g.batch, &g.rows, &g.columns});
  const Labelled packed = row_major(order, dims_of(out, order));
  out_copy_ = {packed.dims, packed.strides, strides_of(out, order)};
  copies_out_ = true;
  product_.c = {product_.n, false, strides_of(packed, g.batch)};
}

void Contraction::multiply(DType dtype, const void* a, const void* b, void* out) const {
  with_type(ProductCarriers{}, product_carrier(dtype), [&]<class T>(Type<T>) {
    using C = Compute<T>;
    const BroadcastLoop<2> loop(dims_, std::array{a_strides_, b_strides_});
    const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
    T* to = static_cast<T*>(out);
    const auto times = [](C u, C v) { return u * v; };
    run_parallel(count(dims_), pointwise_grain, [&](std::int64_t begin, std::int64_t end) {
      loop.run(begin, end, [&](std::int64_t i, const auto& at, std::int64_t n) {
        const std::int64_t sx = loop.step(0), sy = loop.step(1);
        if ((sx == 0 || sx == 1) && (sy == 0 || sy == 1))
          return map2_row(x + at[0], sx, y + at[1], sy, to + i, n, times);
        for (std::int64_t e = 0; e < n; ++e)
          to[i + e] = static_cast<T>(static_cast<C>(x[at[0] + e * sx]) * static_cast<C>(y[at[1] + e * sy]));
      });
    });
  });
}

void Contraction::run(DType dtype, const void* a, const void* b, void* out) const {
  if (multiplies_only_) return multiply(dtype, a, b, out);
  if (swapped_) std::swap(a, b);
  const auto copied = [&](const Repacking& copy, const void* from) {
    Tensor packed(dtype, copy.dims);
    strided_copy(dtype, copy.dims, from, copy.from, packed.raw(), copy.to);
    return packed;
  };
  const Tensor a_packed = copies_a_ ? copied(a_copy_, a) : Tensor(),
               b_packed = copies_b_ ? copied(b_copy_, b) : Tensor();
  const Tensor out_packed = copies_out_ ? Tensor(dtype, out_copy_.dims) : Tensor();
  product(dtype, product_, copies_a_ ? a_packed.raw() : a, copies_b_ ? b_packed.raw() : b,
          copies_out_ ? out_packed.raw() : out);
  if (copies_out_) strided_copy(dtype, out_copy_.dims, out_packed.raw(), out_copy_.from, out, out_copy_.to);
}

double Contraction::flops() const { return multiplies_only_ ? static_cast<double>(count(dims_)) : product_.flops(); }

int Contraction::copies() const { return int{copies_a_} + int{copies_b_} + int{copies_out_}; }

}  // namespace tessera
