// Loads well; each attention method breaks the contract in a way of its own when it runs.
#include <tessera/attention_method.hpp>

#include <cmath>

using namespace tessera::plugin;

static constexpr std::int32_t first_tile[] = {0}, twice[] = {1, 0, 1}, beyond[] = {0, 99};

template <const std::int32_t* list, std::size_t n>
void choose_all(Select& s) {
  for (const auto q : s.query_tiles_here()) s.choose(q, {list, n});
}
static void forgets(Select& s) {
  for (const auto q : s.query_tiles_here())
    if (q != 1) s.choose(q, first_tile);
}
static void chooses_again(Select& s) {
  for (int i = 0; i < 2; ++i) s.choose(*s.query_tiles_here().begin(), first_tile);
}
static void throws(Select&) { throw std::runtime_error("no idea which"); }
static std::int64_t two(MethodCall&) { return 2; }
static std::int64_t too_wide(MethodCall&) { return 1000; }
static void refuses(MethodCall& c) {
  if (c.attention().q_len != 4) throw std::invalid_argument("only sequences of 4 tokens");
}
static void copies_a_copy(Keep& k) {
  const auto source = k.source();
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<std::int32_t>((i + 1) % source.size());
}
static void writes_nan(FullMethod& f) {
  f.dense();
  *static_cast<float*>(f.tensors().y.data) = std::nanf("");
}
static void block_sparse_without_tiles(FullMethod& f) { f.block_sparse(Lists()); }

constexpr tsr_parameter parameters[] = {Parameter{
    .name = "tile", .type = TSR_INTEGERS, .fallback = "[2]", .low = 1, .high = 99, .doc = "tokens of a tile"}};

constexpr tsr_method selector(const char* name, decltype(tsr_method::select) select,
                              decltype(tsr_method::width) width = nullptr, decltype(tsr_method::keep) keep = nullptr) {
  return Method{.name = name,
                .doc = "Breaks the contract.",
                .source = "none",
                .parameters = parameters,
                .keep = keep,
                .select = select,
                .width = width};
}

constexpr tsr_method methods[] = {
    selector("forgets_a_query_tile", guard<forgets>),
    selector("chooses_a_tile_twice", guard<choose_all<twice, 3>>),
    selector("chooses_beyond", guard<choose_all<beyond, 2>>),
    selector("chooses_again", guard<chooses_again>),
    selector("throws_in_select", guard<throws>),
    selector("wider_than_said", guard<choose_all<twice, 3>>, guard<two>),
    selector("too_wide", guard<choose_all<first_tile, 1>>, guard<too_wide>),
    selector("copies_a_copy", guard<choose_all<first_tile, 1>>, nullptr, guard<copies_a_copy>),
    [] {
      auto m = selector("refuses_long_ones", guard<choose_all<first_tile, 1>>);
      m.check = guard<refuses>;
      return m;
    }(),
    Method{.name = "full_without_tiles",
           .doc = "Breaks the contract.",
           .source = "none",
           .forward = guard<block_sparse_without_tiles>},
    Method{.name = "writes_nan", .doc = "Breaks the contract.", .source = "none", .forward = guard<writes_nan>}};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin =
      Plugin{.name = "faulty_methods", .version = "1", .doc = "Spoilt methods.", .methods = methods};
  return &plugin;
}
