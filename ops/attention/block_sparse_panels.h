#pragma once
// Lists of tiles as panels of up to kTileKeys rows for the tile kernels: K and V of the keys that a query attends to,
// or q and dy of the queries that attend to a key.
//
// Runs of consecutive tiles are panels where they lie, in tiled order. Short runs, and all runs where nothing lies in
// tiled order, are gathered into a panel row by row: tiles of a few tokens, even of one, fill panels like large
// ones.
#include <optional>
#include <utility>

#include "ops/attention/block_sparse_rows.h"
#include "ops/attention/panel.h"
#include "ops/attention/query_block.h"
#include "runtime/base/parts.h"

namespace tessera::attention {

inline constexpr std::int64_t kLeastRun = 32;  // rows; shorter runs are gathered

template <class C>
struct RowPanel {
  int count;
  Rows<const C> qk, v;                       // rows of qk_dim and of v_dim elements
  std::int64_t first;                        // place of the first row in tiled order, when they are consecutive
  const std::int32_t* places;                // of the rows in tiled order, else null
  std::ptrdiff_t ahead_qk = 0, ahead_v = 0;  // to the rows of the next panel, see tile_kernels.h
};

// Rows in tiled order; row `first[t]` is the first of tile t.
template <class C>
struct TiledRows {
  const std::int32_t* first;
  std::int64_t qk_dim, v_dim;
  Rows<const C> qk{}, v{};  // or null

  RowPanel<C> in_place(std::int64_t begin, std::int64_t count) const {
    return {static_cast<int>(count), {qk.row(begin), qk.stride}, {v.row(begin), v.stride}, begin, nullptr};
  }
};

// A panel of copies: copy(place, to_qk, to_v) brings each row to `memory`, kTileKeys * row_size elements.
template <class C, class F>
RowPanel<C> gather(const TiledRows<C>& rows, const std::int32_t* places, int count, C* memory, F&& copy) {
  const Rows<C> qk{memory, copy_pitch<C>(rows.qk_dim)}, v{memory + kTileKeys * qk.stride, copy_pitch<C>(rows.v_dim)};
  for (int j = 0; j < count; ++j) copy(places[j], qk.row(j), v.row(j));
  return {count, {qk.data, qk.stride}, {v.data, v.stride}, 0, places};
}

// Calls f(panel) until all rows of the list, ascending tiles, have had their turn; copy and memory as for gather.
// `then` is the list that comes next, if one does.
template <class C, class Copy, class F>
void for_each_panel(const TiledRows<C>& rows, std::span<const std::int32_t> list, std::span<const std::int32_t> then,
                    C* memory, Copy&& copy, F&& f) {
  std::int32_t places[kTileKeys];
  int gathered = 0;
  std::optional<RowPanel<C>> waiting;  // for its successor to be known
  const auto serve = [&](const std::optional<RowPanel<C>>& next) {
    if (waiting && next) {
      waiting->ahead_qk = next->qk.data - waiting->qk.data;
      waiting->ahead_v = next->v.data - waiting->v.data;
    }
    if (waiting) f(*waiting);
    waiting = next;
  };
  const auto flush = [&] {
    if (gathered > 0) f(gather(rows, places, gathered, memory, copy));
    gathered = 0;
  };
  for (std::size_t i = 0, next; i < list.size(); i = next) {
    for (next = i + 1; next < list.size() && list[next] == list[next - 1] + 1;) ++next;
    const std::int32_t begin = rows.first[list[i]], end = rows.first[list[next - 1] + 1];
    if (rows.qk.data != nullptr && end - begin >= kLeastRun) {
      const std::int64_t part = even_part(end - begin, kTileKeys);
      for (std::int64_t at = begin; at < end; at += part)
        serve(rows.in_place(at, std::min<std::int64_t>(part, end - at)));
    } else {
      for (std::int32_t place = begin; place < end; ++place) {
        places[gathered++] = place;
        if (gathered == kTileKeys) flush();
      }
    }
  }
  if (waiting && !then.empty()) {
    serve(rows.in_place(rows.first[then.front()], 0));
  } else {
    serve({});
  }
  flush();
}

}  // namespace tessera::attention
