#pragma once
// The keys of lists of tiles, as panels of rows of K and V: rows of C, which is Compute<T>, or T itself where the
// products take operands as they are (bf16_kernels.h). Tiles of consecutive tokens are read where they lie. Other K and
// V are first brought into tiled order if lists name every key more than once, as packs where these pay: but for small
// tiles, which are then gathered from where they lie.
#include "ops/attention/block_sparse_panels.h"
#include "runtime/op/parallel.h"

namespace tessera::attention {

// In larger blocks packs have not been found to pay; bf16 as it is has panels of its own.
template <class C>
inline constexpr bool kHasPacks = kSmallBlocks && sizeof(C) != 2;

template <class T, class C>
bool in_packs(const BlockSparse<T>& problem) {
  return kHasPacks<C> && problem.shape.kv_len >= kLeastRun * problem.key_tiles->tiles();
}

// K and V of one (batch, kv head).
template <class T, class C = Compute<T>>
struct KeySource {
  const TokenTiles* tiles;
  AttentionView<const T> k, v;
  std::int64_t batch, head;
  TiledRows<C> rows;               // K and V in tiled order, or null
  TiledPacks<C> packs;             // the same as packs, or null; never both
  Rows<C> k_copies{}, v_copies{};  // what `rows` are, where they are copies

  KeySource(const BlockSparse<T>& problem, std::int64_t pair)
      : tiles(problem.key_tiles),
        k(problem.k),
        v(problem.v),
        batch(pair / problem.shape.kv_heads),
        head(pair % problem.shape.kv_heads),
        rows{tiles->first.data(), problem.shape.qk_dim, problem.shape.v_dim},
        packs{tiles->first.data(), problem.shape.qk_dim, problem.shape.v_dim} {}

  // Keeps copies in `memory` of copied_size elements, for copy_tile to fill.
  void copy_to(C* memory, bool as_packs) {
    const std::int64_t keys = tiles->first.back();
    if (as_packs) {
      packs.qk = memory;
      packs.v = memory + packs.with_room(keys, tiles->tiles()) * packs.qk_dim;
    } else {
      rows.qk = k_copies = {memory, copy_pitch<C>(rows.qk_dim)};
      rows.v = v_copies = {k_copies.row(keys), copy_pitch<C>(rows.v_dim)};
    }
  }

  // Brings the keys of a tile into the copies.
  void copy_tile(std::int64_t tile) const {
    if constexpr (kHasPacks<C>)
      if (packs.in_place()) return pack_tile(tile);
    const std::int64_t end = tiles->first[tile + 1];
    for (std::int64_t place = tiles->first[tile]; place < end; ++place) {
      const std::int64_t soon = tiles->order[std::min(place + kRowsAhead, end - 1)];
      prefetch_row(k.row(batch, head, soon), rows.qk_dim);
      prefetch_row(v.row(batch, head, soon), rows.v_dim);
      copy_key(place, k_copies.row(place), v_copies.row(place));
    }
  }

  // As attention::for_each_panel.
  template <class F>
  void for_each_panel(std::span<const std::int32_t> list, std::span<const std::int32_t> then, C* memory, F&& f) const {
    const auto copy = [this](std::int32_t place, C* to_k, C* to_v) {
      if (rows.qk.data == nullptr) return copy_key(place, to_k, to_v);
      copy_row<C>(rows.qk.row(place), rows.qk_dim, to_k);
      copy_row<C>(rows.v.row(place), rows.v_dim, to_v);
    };
    if constexpr (kHasPacks<C>)
      if (packs.in_place()) return attention::for_each_panel(packs, list, then, memory, copy, f);
    attention::for_each_panel(rows, list, then, memory, copy, f);
  }

 private:
  // The keys of small tiles are gathered from where they lie.
  void pack_tile(std::int64_t tile) const {
    if (tiles->size(tile) < kLeastRun) return;
    for_each_part(tiles->first[tile], tiles->first[tile + 1], [&](std::int64_t begin, std::int64_t count) {
      const auto row = [&](const AttentionView<const T>& x) {
        return [&](int i) { return x.row(batch, head, tiles->order[begin + i]); };
      };
      pack_rows<C>(row(k), static_cast<int>(count), packs.qk_dim, packs.rows_at(tile, begin));
      pack_columns<C>(row(v), static_cast<int>(count), packs.v_dim, packs.columns_at(tile, begin, count));
    });
  }

  void copy_key(std::int64_t place, C* to_k, C* to_v) const {
    copy_row<C>(k.row(batch, head, tiles->order[place]), rows.qk_dim, to_k);
    copy_row<C>(v.row(batch, head, tiles->order[place]), rows.v_dim, to_v);
  }
};

// Keys may be read where they lie, in tiled order.
template <class T, class C>
bool lie_tiled(const BlockSparse<T>& problem) {
  return std::is_same_v<T, C> && problem.key_tiles->in_order();
}

// Elements of the copies of one (batch, kv head).
template <class T, class C>
std::int64_t copied_size(const BlockSparse<T>& problem) {
  const auto& shape = problem.shape;
  if (lie_tiled<T, C>(problem)) return 0;
  if (!in_packs<T, C>(problem)) return shape.kv_len * row_size<C>(shape);
  return TiledPacks<C>::with_room(shape.kv_len, problem.key_tiles->tiles()) * (shape.qk_dim + packed(shape.v_dim));
}

// The sources of (batch, kv head) pairs [begin, end), pair = batch * kv_heads + kv head, with the copies that pay.
// `memory` has room for all of them.
template <class T, class C = Compute<T>>
class KeySources {
 public:
  KeySources(const BlockSparse<T>& problem, std::int64_t begin, std::int64_t end, C* memory) : first_(begin) {
    const std::int64_t tiles = problem.key_tiles->tiles(), size = copied_size<T, C>(problem);
    const bool tiled = lie_tiled<T, C>(problem);
    std::vector<const KeySource<T, C>*> copied;
    sources_.reserve(static_cast<std::size_t>(end - begin));
    for (std::int64_t pair = begin; pair < end; ++pair) {
      sources_.emplace_back(problem, pair);
      KeySource<T, C>& source = sources_.back();
      if constexpr (std::is_same_v<T, C>) {
        if (tiled) {
          source.rows.qk = {source.k.row(source.batch, source.head, 0), source.k.row_stride};
          source.rows.v = {source.v.row(source.batch, source.head, 0), source.v.row_stride};
        }
      }
      if (tiled || listed_keys(problem, pair) < 2 * problem.shape.kv_len) continue;
      source.copy_to(std::exchange(memory, memory + size), in_packs<T, C>(problem));
      copied.push_back(&source);
    }
    run_parallel(std::ssize(copied) * tiles, 8, [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t i = from; i < to; ++i) copied[i / tiles]->copy_tile(i % tiles);
    });
  }
  const KeySource<T, C>& of(std::int64_t pair) const { return sources_[pair - first_]; }

 private:
  // Keys in all lists of a pair: how many are read.
  static std::int64_t listed_keys(const BlockSparse<T>& problem, std::int64_t pair) {
    const std::int64_t lists = problem.shape.group() * problem.lists->query_tiles;
    std::int64_t keys = 0;
    for (auto i = pair * lists; i < (pair + 1) * lists; ++i)
      keys += listed_rows(problem.key_tiles->first.data(), problem.lists->row(i));
    return keys;
  }

  std::int64_t first_;
  std::vector<KeySource<T, C>> sources_;
};

}  // namespace tessera::attention
