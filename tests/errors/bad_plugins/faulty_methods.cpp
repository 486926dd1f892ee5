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
static void asks_amiss(MethodCall& c) { c.integer("tilt"); }
static std::int32_t refuses_in_silence(const tsr_host*, tsr_call*, const tsr_attention*) { return 7; }
static double pairs_below_none(MethodCall&) { return -1; }
static void copies_a_copy(Keep& k) {
  const auto source = k.source();
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<std::int32_t>((i + 1) % source.size());
}
static void dense(FullMethod& f) { f.dense(); }
static void writes_nan(FullMethod& f) {
  f.dense();
  *static_cast<float*>(f.tensors().y.data) = std::nanf("");
}
static std::int32_t lists_without_items(const tsr_host* host, tsr_call* call, const tsr_attention* a,
                                        const tsr_attention_tensors* t) {
  static constexpr std::int64_t begin[] = {0, 6};
  const tsr_lists lists{1, begin, nullptr};
  return host->index_list(call, a, &lists, 6, t);
}
static std::int32_t struct_cut_short(const tsr_host* host, tsr_call* call, const tsr_attention* a,
                                     const tsr_attention_tensors* t) {
  tsr_attention_tensors less = *t;
  less.size = 3;
  return host->dense(call, a, &less);
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

constexpr tsr_method checked(const char* name, decltype(tsr_method::check) check) {
  auto m = selector(name, guard<choose_all<first_tile, 1>>);
  m.check = check;
  return m;
}
constexpr tsr_method full(const char* name, decltype(tsr_method::forward) forward) {
  return Method{.name = name, .doc = "Breaks the contract.", .source = "none", .forward = forward};
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
    checked("refuses_long_ones", guard<refuses>),
    checked("asks_amiss", guard<asks_amiss>),
    checked("refuses_in_silence", refuses_in_silence),
    [] {
      auto m = full("pairs_below_none", guard<dense>);
      m.pairs = guard<pairs_below_none>;
      return m;
    }(),
    full("lists_without_items", lists_without_items),
    full("struct_cut_short", struct_cut_short),
    full("full_without_tiles", guard<block_sparse_without_tiles>),
    full("writes_nan", guard<writes_nan>)};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin =
      Plugin{.name = "faulty_methods", .version = "1", .doc = "Spoilt methods.", .methods = methods};
  return &plugin;
}
