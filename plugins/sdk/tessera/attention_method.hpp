#pragma once
// Attention methods over plugin.h, beside plugin.hpp: selectors of key tiles, and full methods.
//
//   void select_tiles(Select& s) {
//     for (const auto query_tile : s.query_tiles_here()) s.choose(query_tile, tiles_near(query_tile));
//   }
//   constexpr tsr_method methods[] = {Method{.name = "near", ..., .select = guard<select_tiles>}};
//
// Contexts are borrowed: valid during the call only. Views and shapes are [batch, heads, length, dim].
#include <tessera/plugin.hpp>

#include <array>

namespace tessera::plugin {

// The tokens of one operand cut into tiles; axes from the outermost, as the grid has them.
class Tiles {
 public:
  explicit Tiles(const tsr_tiles& t) : t_(&t) {}
  std::int64_t count() const { return t_->tiles; }
  std::int64_t tokens() const { return t_->tokens; }
  std::size_t axes() const { return t_->axes; }
  Dims counts() const { return {t_->counts, axes()}; }  // tiles along each axis
  Dims grid() const { return {t_->grid, axes()}; }      // tokens along each axis
  std::int64_t size(std::int64_t tile) const { return t_->first[tile + 1] - t_->first[tile]; }
  std::span<const std::int32_t> tokens_of(std::int64_t tile) const {
    return {t_->order + t_->first[tile], static_cast<std::size_t>(size(tile))};
  }
  // Where a tile stands along each axis; axes beyond the grid's are 0.
  std::array<std::int64_t, 4> place(std::int64_t tile) const {
    std::array<std::int64_t, 4> at{};
    for (std::size_t a = axes(); a-- > 0; tile /= t_->counts[a]) at[a] = tile % t_->counts[a];
    return at;
  }
  const tsr_tiles* raw() const { return t_; }

 private:
  const tsr_tiles* t_;
};

// Sizes and parameters of one attention call.
class MethodCall : public Call {
 public:
  MethodCall(const tsr_host* host, tsr_call* call, const tsr_attention* attention)
      : Call(host, call), attention_(attention) {}
  const tsr_attention& attention() const { return *attention_; }
  bool tiled() const { return attention_->query_tiles != nullptr; }
  Tiles query_tiles() const { return Tiles(*attention_->query_tiles); }
  Tiles key_tiles() const { return Tiles(*attention_->key_tiles); }

 protected:
  const tsr_attention* attention_;
};

// Which queries of one tile are computed.
class Keep : public MethodCall {
 public:
  Keep(const tsr_host* host, tsr_call* call, const tsr_attention* attention, const tsr_keep_task* task)
      : MethodCall(host, call, attention), task_(task) {}
  std::int64_t batch() const { return task_->batch; }
  std::int64_t head() const { return task_->head; }
  std::int64_t tile() const { return task_->tile; }
  std::int64_t tokens() const { return task_->tokens; }
  Dims extents() const { return {task_->extents, task_->axes}; }  // of the tile, clipped
  std::span<const float> query(std::int64_t token) const {        // [dim]
    return {task_->queries + token * task_->dim, static_cast<std::size_t>(task_->dim)};
  }
  // To be set: each token's own place in the tile (computed), another's whose output it takes, or -1 (zeros).
  std::span<std::int32_t> source() const { return {task_->source, static_cast<std::size_t>(task_->tokens)}; }

 private:
  const tsr_keep_task* task_;
};

// The numbers of consecutive tiles, to iterate over: what std::views::iota is, which clang before 16 does not compile.
class TileNumbers {
 public:
  class Iterator {
   public:
    explicit Iterator(std::int64_t tile) : tile_(tile) {}
    std::int64_t operator*() const { return tile_; }
    Iterator& operator++() { return ++tile_, *this; }
    bool operator==(const Iterator&) const = default;

   private:
    std::int64_t tile_;
  };
  TileNumbers(std::int64_t first, std::int64_t count) : first_(first), count_(count) {}
  Iterator begin() const { return Iterator(first_); }
  Iterator end() const { return Iterator(first_ + count_); }

 private:
  std::int64_t first_, count_;
};

// Which key tiles the query tiles of this task attend to: each query tile is answered once.
class Select : public MethodCall {
 public:
  Select(const tsr_host* host, tsr_call* call, const tsr_attention* attention, const tsr_select_task* task)
      : MethodCall(host, call, attention), task_(task) {}
  std::int64_t batch() const { return task_->batch; }
  std::int64_t head() const { return task_->head; }
  TileNumbers query_tiles_here() const { return {task_->first, task_->count}; }
  std::int64_t key_tile_count() const { return task_->key_tiles; }
  // scale * mean of the tile's kept queries . mean of the keys, for each key tile.
  std::span<const float> scores(std::int64_t query_tile) const {
    return {task_->scores + (query_tile - task_->first) * task_->key_tiles, static_cast<std::size_t>(task_->key_tiles)};
  }
  // In any order, each key tile once; an empty list attends to nothing.
  void choose(std::int64_t query_tile, std::span<const std::int32_t> key_tiles) {
    must(host_->choose(call_, query_tile, key_tiles.data(), static_cast<std::int64_t>(key_tiles.size())));
  }

 private:
  const tsr_select_task* task_;
};

// Lists row after row, for the host's kernels.
class Lists {
 public:
  void add(std::span<const std::int32_t> row) {
    item_.insert(item_.end(), row.begin(), row.end());
    begin_.push_back(static_cast<std::int64_t>(item_.size()));
  }
  tsr_lists raw() const { return {static_cast<std::int64_t>(begin_.size()) - 1, begin_.data(), item_.data()}; }

 private:
  std::vector<std::int64_t> begin_{0};
  std::vector<std::int32_t> item_;
};

// Forward or backward of a full method: operands as views, and the host's kernels on them. The same function serves
// both where it only makes lists.
class FullMethod : public MethodCall {
 public:
  FullMethod(const tsr_host* host, tsr_call* call, const tsr_attention* attention, const tsr_attention_tensors* tensors)
      : MethodCall(host, call, attention), tensors_(tensors) {}
  const tsr_attention_tensors& tensors() const { return *tensors_; }
  bool backward() const { return tensors_->dy.data != nullptr; }
  tsr_tensor input(std::uint32_t i) const { return host_->input(call_, i); }    // the method's own, from 7 on
  tsr_tensor output(std::uint32_t i) const { return host_->output(call_, i); }  // in backward: 3 on, of own inputs

  void dense() {
    must(backward() ? host_->dense_backward(call_, attention_, tensors_) : host_->dense(call_, attention_, tensors_));
  }
  // One row per (batch, head, query tile); source as in Keep, over all query tiles, or null.
  void block_sparse(const Lists& lists, const std::int32_t* source = nullptr) {
    const tsr_lists raw = lists.raw();
    must(backward() ? host_->block_sparse_backward(call_, attention_, &raw, source, tensors_)
                    : host_->block_sparse(call_, attention_, &raw, source, tensors_));
  }
  // One row per (batch, head, group of `rows` queries), keys ascending; into other tensors than the call's where given.
  void index_list(const Lists& lists, std::int64_t rows) { index_list(lists, rows, *tensors_); }
  void index_list(const Lists& lists, std::int64_t rows, const tsr_attention_tensors& tensors) {
    const tsr_lists raw = lists.raw();
    must(backward() ? host_->index_list_backward(call_, attention_, &raw, rows, &tensors)
                    : host_->index_list(call_, attention_, &raw, rows, &tensors));
  }
  // (y, lse) of this call becomes the attention over the keys of both; key sets must be disjoint.
  void merge(const tsr_view& other, const void* other_lse) {
    must(host_->merge_by_lse(call_, attention_, &tensors_->y, tensors_->lse, &other, other_lse));
  }

 private:
  const tsr_attention_tensors* tensors_;
};

template <>
struct ArgumentsOf<MethodCall> {
  using type = Arguments<const tsr_attention*>;
};
template <>
struct ArgumentsOf<Keep> {
  using type = Arguments<const tsr_attention*, const tsr_keep_task*>;
};
template <>
struct ArgumentsOf<Select> {
  using type = Arguments<const tsr_attention*, const tsr_select_task*>;
};
template <>
struct ArgumentsOf<FullMethod> {
  using type = Arguments<const tsr_attention*, const tsr_attention_tensors*>;
};

struct Method {
  const char* name;
  std::uint32_t version = 1;
  const char* doc;
  const char* source;
  std::span<const tsr_parameter> parameters{};
  bool coarse_gate = false;
  decltype(tsr_method::check) check = nullptr;
  decltype(tsr_method::keep) keep = nullptr;
  decltype(tsr_method::select) select = nullptr;
  decltype(tsr_method::width) width = nullptr;
  decltype(tsr_method::forward) forward = nullptr;
  decltype(tsr_method::backward) backward = nullptr;
  std::span<const tsr_port> inputs{};
  decltype(tsr_method::pairs) pairs = nullptr;
  std::span<const char* const> examples{};
  const char* readme = nullptr;
  constexpr operator tsr_method() const {
    return {.size = sizeof(tsr_method),
            .version = version,
            .name = name,
            .doc = doc,
            .source = source,
            .parameters = parameters.data(),
            .parameter_count = static_cast<std::uint32_t>(parameters.size()),
            .coarse_gate = coarse_gate,
            .check = check,
            .keep = keep,
            .select = select,
            .width = width,
            .forward = forward,
            .backward = backward,
            .inputs = inputs.data(),
            .input_count = static_cast<std::uint32_t>(inputs.size()),
            .reserved = 0,
            .pairs = pairs,
            .examples = examples.data(),
            .example_count = static_cast<std::uint32_t>(examples.size()),
            .reserved2 = 0,
            .readme = readme};
  }
};

}  // namespace tessera::plugin
