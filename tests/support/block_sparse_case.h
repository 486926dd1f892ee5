#pragma once
// One call of the block-sparse attention kernels for tests: random operands that every element type represents exactly,
// random lists, and what the definition gives for them in f64: dense attention under a mask.
#include <iosfwd>

#include "ops/attention/block_sparse.h"
#include "tests/support/attention_reference.h"

namespace tessera {

struct BlockSparseCase {
  std::int64_t batch = 1, q_heads = 1, kv_heads = 1, qk_dim = 16, v_dim = 16;
  std::vector<std::int64_t> q_grid, q_cube, k_grid, k_cube;
  double density = 0.5;     // of the lists; every seventh is empty unless it is 1
  bool rows_first = false;  // [B, L, H, D] in memory instead of [B, H, L, D]
  double amplitude = 1;     // of q and k; a power of two
  bool sources = false;     // half of the queries copy another of their tile, or are zeros
};
std::ostream& operator<<(std::ostream& out, const BlockSparseCase& c);

struct BlockSparseData {
  explicit BlockSparseData(const BlockSparseCase& c);
  BlockSparseCase c;
  TokenTiles query_tiles, key_tiles;
  BlockLists lists;
  std::vector<std::int32_t> source;  // empty: none
  AttentionReference reference;      // of the queries that are computed; its dy has the copies' dy added
  std::vector<double> y, lse;        // with the copies
  std::vector<double> dy, dlse;      // as the kernel gets them
};

// The operands in type T and the layout asked for, the kernel's results beside them.
template <class T>
struct BlockSparseOperands {
  using C = Compute<T>;
  const BlockSparseData& data;
  std::vector<T> q, k, v, y, dy, dq, dk, dv;
  std::vector<C> lse, dlse;

  explicit BlockSparseOperands(const BlockSparseData& d) : data(d) {
    const auto& s = d.reference.shape;
    q = laid_out(d.reference.q, s.q_heads, s.q_len, s.qk_dim);
    k = laid_out(d.reference.k, s.kv_heads, s.kv_len, s.qk_dim);
    v = laid_out(d.reference.v, s.kv_heads, s.kv_len, s.v_dim);
    dy = laid_out(d.dy, s.q_heads, s.q_len, s.v_dim);
    y.assign(d.y.size(), number(99)), dq.assign(q.size(), number(99));
    dk.assign(k.size(), number(99)), dv.assign(v.size(), number(99));
    lse.assign(d.lse.size(), C(99));
    for (const double x : d.dlse) dlse.push_back(static_cast<C>(x));
  }

  BlockSparse<T> problem() const {
    const auto& s = data.reference.shape;
    return {s,
            in(q, s.q_heads, s.q_len, s.qk_dim),
            in(k, s.kv_heads, s.kv_len, s.qk_dim),
            in(v, s.kv_heads, s.kv_len, s.v_dim),
            data.reference.scale,
            &data.query_tiles,
            &data.key_tiles,
            &data.lists,
            data.source.empty() ? nullptr : data.source.data()};
  }
  void forward() {
    const auto& s = data.reference.shape;
    block_sparse_forward<T>(problem(), view(y.data(), s.q_heads, s.q_len, s.v_dim), lse.data());
  }
  void backward() {
    const auto& s = data.reference.shape;
    block_sparse_backward<T>(problem(), in(y, s.q_heads, s.q_len, s.v_dim), lse.data(),
                             in(dy, s.q_heads, s.q_len, s.v_dim), dlse.data(), gradients());
  }
  AttentionGradients<T> gradients() {
    const auto& s = data.reference.shape;
    return {view(dq.data(), s.q_heads, s.q_len, s.qk_dim), view(dk.data(), s.kv_heads, s.kv_len, s.qk_dim),
            view(dv.data(), s.kv_heads, s.kv_len, s.v_dim)};
  }
  template <class U>
  AttentionView<U> view(U* p, std::int64_t heads, std::int64_t length, std::int64_t dim) const {
    if (data.c.rows_first) return {p, heads * length * dim, dim, heads * dim};
    return {p, heads * length * dim, length * dim, dim};
  }
  AttentionView<const T> in(const std::vector<T>& x, std::int64_t heads, std::int64_t length, std::int64_t dim) const {
    return view(x.data(), heads, length, dim);
  }
  // A result in the reference's order, [B, H, L, D].
  std::vector<double> plain(const std::vector<T>& x, std::int64_t heads, std::int64_t length, std::int64_t dim) const {
    std::vector<double> out;
    const auto from = view(x.data(), heads, length, dim);
    for (std::int64_t i = 0; i < data.c.batch * heads * length; ++i) {
      const T* row = from.row(i / length / heads, i / length % heads, i % length);
      for (std::int64_t c = 0; c < dim; ++c) out.push_back(static_cast<double>(static_cast<C>(row[c])));
    }
    return out;
  }

 private:
  static T number(double x) { return static_cast<T>(static_cast<C>(x)); }
  std::vector<T> laid_out(const std::vector<double>& x, std::int64_t heads, std::int64_t length,
                          std::int64_t dim) const {
    std::vector<T> out(x.size());
    const auto to = view(out.data(), heads, length, dim);
    const double* next = x.data();
    for (std::int64_t i = 0; i < data.c.batch * heads * length; ++i)
      for (std::int64_t c = 0; c < dim; ++c)
        to.row(i / length / heads, i / length % heads, i % length)[c] = number(*next++);
    return out;
  }
};

}  // namespace tessera
