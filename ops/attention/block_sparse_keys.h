#pragma once
// The keys of lists of tiles, as panels of up to kTileKeys rows of K and V, for the tile kernels: rows of C, which is
// Compute<T>, or T itself where the products take operands as they are (bf16_kernels.h).
//
// Where lists name every key more than once, K and V are first brought into tiled order, so that runs of consecutive
// tiles are panels where they lie. Short runs, and all runs where such a copy does not pay, are gathered into a panel
// row by row: tiles of a few keys, even of one, fill panels like large ones.
#include <optional>
#include <utility>

#include "ops/attention/block_sparse_rows.h"
#include "ops/attention/panel.h"
#include "ops/attention/query_block.h"
#include "runtime/op/parallel.h"

namespace tessera::attention {

inline constexpr std::int64_t kLeastRun = 32;  // keys; shorter runs are gathered

template <class C>
struct KeyPanel {
  int count;
  Rows<const C> k, v;
  std::int64_t first;                       // place of the first key in tiled order, when the keys are consecutive
  const std::int32_t* places;               // of the keys in tiled order, else null
  std::ptrdiff_t ahead_k = 0, ahead_v = 0;  // to the rows of the next panel, see tile_kernels.h
};

// K and V of one (batch, kv head).
template <class T, class C = Compute<T>>
struct KeySource {
  const TokenTiles* tiles;
  AttentionView<const T> k, v;
  std::int64_t batch, head, qk_dim, v_dim;
  Rows<C> tiled_k{}, tiled_v{};  // in tiled order, or null

  // Brings the keys of a tile into the tiled copy.
  void copy_tile(std::int64_t tile) const {
    const std::int64_t end = tiles->first[tile + 1];
    for (std::int64_t place = tiles->first[tile]; place < end; ++place) {
      prefetch_key(std::min(place + kRowsAhead, end - 1));
      copy_key(place, tiled_k.row(place), tiled_v.row(place));
    }
  }

  // Calls f(panel) until all keys of the list, ascending tiles, have had their turn. `memory` is the panel that keys
  // are gathered in: kTileKeys rows of K, as many of V. `then` is the list that comes next, if one does.
  template <class F>
  void for_each_panel(std::span<const std::int32_t> list, std::span<const std::int32_t> then, C* memory, F&& f) const {
    std::int32_t places[kTileKeys];
    int gathered = 0;
    std::optional<KeyPanel<C>> waiting;  // for its successor to be known
    const auto serve = [&](const std::optional<KeyPanel<C>>& next) {
      if (waiting && next) {
        waiting->ahead_k = next->k.data - waiting->k.data;
        waiting->ahead_v = next->v.data - waiting->v.data;
      }
      if (waiting) f(*waiting);
      waiting = next;
    };
    const auto flush = [&] {
      if (gathered > 0) f(gather(places, gathered, memory));
      gathered = 0;
    };
    for (std::size_t i = 0, next; i < list.size(); i = next) {
      for (next = i + 1; next < list.size() && list[next] == list[next - 1] + 1;) ++next;
      const std::int32_t begin = tiles->first[list[i]], end = tiles->first[list[next - 1] + 1];
      if (tiled_k.data != nullptr && end - begin >= kLeastRun) {
        const std::int64_t part = even_part(end - begin, kTileKeys);
        for (std::int64_t at = begin; at < end; at += part) serve(in_place(at, std::min<std::int64_t>(part, end - at)));
      } else {
        for (std::int32_t place = begin; place < end; ++place) {
          places[gathered++] = place;
          if (gathered == kTileKeys) flush();
        }
      }
    }
    if (waiting && !then.empty()) {
      serve(in_place(tiles->first[then.front()], 0));
    } else {
      serve({});
    }
    flush();
  }

 private:
  KeyPanel<C> in_place(std::int64_t first, std::int64_t count) const {
    return {static_cast<int>(count),
            {tiled_k.row(first), tiled_k.stride},
            {tiled_v.row(first), tiled_v.stride},
            first,
            nullptr};
  }
  KeyPanel<C> gather(const std::int32_t* places, int count, C* memory) const {
    const Rows<C> to_k{memory, copy_pitch<C>(qk_dim)}, to_v{memory + kTileKeys * to_k.stride, copy_pitch<C>(v_dim)};
    for (int j = 0; j < count; ++j) {
      if (tiled_k.data != nullptr) {
        copy_row<C>(tiled_k.row(places[j]), qk_dim, to_k.row(j));
        copy_row<C>(tiled_v.row(places[j]), v_dim, to_v.row(j));
      } else {
        copy_key(places[j], to_k.row(j), to_v.row(j));
      }
    }
    return {count, {to_k.data, to_k.stride}, {to_v.data, to_v.stride}, 0, places};
  }
  void prefetch_key(std::int64_t place) const {
    prefetch_row(k.row(batch, head, tiles->order[place]), qk_dim);
    prefetch_row(v.row(batch, head, tiles->order[place]), v_dim);
  }
  void copy_key(std::int64_t place, C* to_k, C* to_v) const {
    copy_row<C>(k.row(batch, head, tiles->order[place]), qk_dim, to_k);
    copy_row<C>(v.row(batch, head, tiles->order[place]), v_dim, to_v);
  }
};

// Elements of C that K and V of one key take.
template <class C>
std::int64_t key_size(const AttentionShape& shape) {
  return copy_pitch<C>(shape.qk_dim) + copy_pitch<C>(shape.v_dim);
}

// The sources of (batch, kv head) pairs [begin, end), pair = batch * kv_heads + kv head, with the copies that pay.
// `memory` has room for all of them: kv_len * key_size elements each.
template <class T, class C = Compute<T>>
class KeySources {
 public:
  KeySources(const BlockSparse<T>& problem, std::int64_t begin, std::int64_t end, C* memory) : first_(begin) {
    const auto& shape = problem.shape;
    const std::int64_t k_pitch = copy_pitch<C>(shape.qk_dim), v_pitch = copy_pitch<C>(shape.v_dim);
    const std::int64_t tiles = problem.key_tiles->tiles();
    std::vector<const KeySource<T, C>*> copied;
    sources_.reserve(static_cast<std::size_t>(end - begin));
    for (std::int64_t pair = begin; pair < end; ++pair) {
      sources_.push_back({problem.key_tiles, problem.k, problem.v, pair / shape.kv_heads, pair % shape.kv_heads,
                          shape.qk_dim, shape.v_dim});
      if (listed_keys(problem, pair) < 2 * shape.kv_len) continue;
      sources_.back().tiled_k = {std::exchange(memory, memory + shape.kv_len * k_pitch), k_pitch};
      sources_.back().tiled_v = {std::exchange(memory, memory + shape.kv_len * v_pitch), v_pitch};
      copied.push_back(&sources_.back());
    }
    run_parallel(static_cast<std::int64_t>(copied.size()) * tiles, 8, [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t i = from; i < to; ++i) copied[i / tiles]->copy_tile(i % tiles);
    });
  }
  const KeySource<T, C>& of(std::int64_t pair) const { return sources_[pair - first_]; }

 private:
  // Keys in all lists of a pair: how many are read.
  static std::int64_t listed_keys(const BlockSparse<T>& problem, std::int64_t pair) {
    const std::int64_t lists = problem.shape.q_heads / problem.shape.kv_heads * problem.lists->query_tiles;
    std::int64_t keys = 0;
    for (auto i = problem.lists->begin[pair * lists]; i < problem.lists->begin[(pair + 1) * lists]; ++i)
      keys += problem.key_tiles->size(problem.lists->tile[i]);
    return keys;
  }

  std::int64_t first_;
  std::vector<KeySource<T, C>> sources_;
};

}  // namespace tessera::attention
