#pragma once
// Lists of tiles as panels of up to kTileKeys rows for the tile kernels: K and V of the keys that a query attends to,
// or q and dy of the queries that attend to a key.
//
// Runs of consecutive tiles are panels where they lie, in tiled order. Short runs, and all runs where nothing lies in
// tiled order, are gathered into a panel row by row: tiles of a few tokens, even of one, fill panels like large
// ones. Tiles that are kept as packs are panels of their own, or several.
#include <optional>
#include <utility>

#include "ops/attention/block_sparse_rows.h"
#include "ops/attention/packs.h"
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

template <class C>
struct PackPanel {
  int count;
  Packs<const C> qk, v;  // v: a row is a coordinate
  std::ptrdiff_t ahead_qk = 0, ahead_v = 0;
};

// Rows in tiled order; row `first[t]` is the first of tile t.
template <class C>
struct TiledRows {
  using Panel = RowPanel<C>;
  static constexpr bool joins = true;  // consecutive tiles are panels together
  const std::int32_t* first;
  std::int64_t qk_dim, v_dim;
  Rows<const C> qk{}, v{};  // or null

  bool in_place() const { return qk.data != nullptr; }
  RowPanel<C> panel(std::int64_t, std::int64_t begin, std::int64_t count) const {
    return {static_cast<int>(count), {qk.row(begin), qk.stride}, {v.row(begin), v.stride}, begin, nullptr};
  }
};

// The same as packs: each panel of a tile has its own packs, and every tile room for rows up to the next whole one.
template <class C>
struct TiledPacks {
  using Panel = PackPanel<C>;
  static constexpr bool joins = false;
  const std::int32_t* first;
  std::int64_t qk_dim, v_dim;
  C *qk = nullptr, *v = nullptr;

  // Where row `place` of tile `tile` lies; with the number of both, how many rows there is room for.
  static std::int64_t with_room(std::int64_t place, std::int64_t tile) { return place + tile * (kBlockRows - 1); }
  bool in_place() const { return qk != nullptr; }
  Packs<C> rows_at(std::int64_t tile, std::int64_t begin) const {
    return {qk + with_room(begin, tile) * qk_dim, kBlockRows * qk_dim};
  }
  Packs<C> columns_at(std::int64_t tile, std::int64_t begin, std::int64_t count) const {
    return {v + with_room(begin, tile) * packed(v_dim), kBlockRows * count};
  }
  PackPanel<C> panel(std::int64_t tile, std::int64_t begin, std::int64_t count) const {
    return {static_cast<int>(count), rows_at(tile, begin), columns_at(tile, begin, count)};
  }
};

// Calls f(first row, count) for the panels of rows begin .. end-1.
template <class F>
void for_each_part(std::int64_t begin, std::int64_t end, F&& f) {
  const std::int64_t part = even_part(end - begin, kTileKeys, kBlockRows);
  for (std::int64_t at = begin; at < end; at += part) f(at, std::min(part, end - at));
}

// A panel of copies: copy(place, to_qk, to_v) brings each row to `memory`, kTileKeys * row_size elements.
template <class C, class Tiled, class F>
RowPanel<C> gather(const Tiled& tiled, const std::int32_t* places, int count, C* memory, F&& copy) {
  const Rows<C> qk{memory, copy_pitch<C>(tiled.qk_dim)}, v{memory + kTileKeys * qk.stride, copy_pitch<C>(tiled.v_dim)};
  for (int j = 0; j < count; ++j) copy(places[j], qk.row(j), v.row(j));
  return {count, {qk.data, qk.stride}, {v.data, v.stride}, 0, places};
}

// Calls f(panel), a Tiled::Panel or one that is gathered, until all rows of the list, ascending tiles, have had their
// turn; copy and memory as for gather.
// `then` is the list that comes next, if one does.
template <class Tiled, class C, class Copy, class F>
void for_each_panel(const Tiled& tiled, std::span<const std::int32_t> list, std::span<const std::int32_t> then,
                    C* memory, Copy&& copy, F&& f) {
  std::int32_t places[kTileKeys];
  int gathered = 0;
  std::optional<typename Tiled::Panel> waiting;  // for its successor to be known
  const auto serve = [&](const std::optional<typename Tiled::Panel>& next) {
    if (waiting && next) {
      waiting->ahead_qk = next->qk.data - waiting->qk.data;
      waiting->ahead_v = next->v.data - waiting->v.data;
    }
    if (waiting) f(*waiting);
    waiting = next;
  };
  const auto flush = [&] {
    if (gathered > 0) f(gather(tiled, places, gathered, memory, copy));
    gathered = 0;
  };
  for (std::size_t i = 0, next; i < list.size(); i = next) {
    for (next = i + 1; Tiled::joins && next < list.size() && list[next] == list[next - 1] + 1;) ++next;
    const std::int32_t begin = tiled.first[list[i]], end = tiled.first[list[next - 1] + 1];
    if (tiled.in_place() && end - begin >= kLeastRun) {
      for_each_part(begin, end, [&](auto at, auto count) { serve(tiled.panel(list[i], at, count)); });
    } else {
      for (std::int32_t place = begin; place < end; ++place) {
        places[gathered++] = place;
        if (gathered == kTileKeys) flush();
      }
    }
  }
  if (waiting && !then.empty()) {
    serve(tiled.panel(then.front(), tiled.first[then.front()], 0));
  } else {
    serve({});
  }
  flush();
}

}  // namespace tessera::attention
