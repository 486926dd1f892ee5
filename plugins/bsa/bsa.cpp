// Bidirectional sparse attention: in each window of a tile only the queries least like its center are computed, and
// each tile of queries attends to the key tiles that a rule on its scores admits. See README.md.
#include <tessera/attention_method.hpp>
#include <tessera/choose.hpp>

#include <algorithm>

#include "admitted_blocks.h"
#include "kept_queries.h"

using namespace tessera::plugin;
using namespace tessera::bsa;

// The place of a word in the list of its choices, as the enumerations have them.
template <class Enum>
static Enum word(const Call& c, const char* name, std::initializer_list<std::string_view> choices) {
  return static_cast<Enum>(std::find(choices.begin(), choices.end(), c.text(name)) - choices.begin());
}

static QueryRule query_rule(const Call& c) {
  const auto window = c.integers("window");
  return {.window = {window.begin(), window.end()},
          .keep = c.real("keep_queries"),
          .mean_center = c.text("center") == "mean",
          .center_slot = c.integer("center_slot"),
          .force_center = c.integer("force_center") != 0,
          .fill = word<Fill>(c, "fill", {"center", "nearest_flat", "nearest_cos", "zero"})};
}

static BlockLimits block_limits(const Call& c) {
  return {.rule = word<BlockRule>(c, "kv_rule", {"stat_prob", "stat_logit", "cdf", "topk"}),
          .keep = c.real("kv_keep"),
          .tau = c.real("tau"),
          .least = c.integer("min_blocks"),
          .most = c.integer("max_blocks")};
}

static std::string text(std::span<const std::int64_t> sizes) {
  std::string all;
  for (const auto n : sizes) all += (all.empty() ? "" : ", ") + std::to_string(n);
  return "[" + all + "]";
}

static void check_parameters(MethodCall& c) {
  const auto tile = c.integers("tile"), window = c.integers("window");
  const auto refuse_window = [&](const char* why) {
    throw std::invalid_argument("'window' " + text(window) + " (where not given, [2, 2, 2]) " + why + " 'tile' " +
                                text(tile));
  };
  if (window.size() != tile.size()) refuse_window("must have as many axes as");
  double slots = 1;
  for (std::size_t a = 0; a < tile.size(); ++a) {
    if (window[a] > tile[a]) refuse_window("is larger than");
    slots *= static_cast<double>(window[a]);
  }
  if (static_cast<double>(c.integer("center_slot")) >= slots)
    throw std::invalid_argument("'center_slot' is outside the window");
  if (c.integer("max_blocks") > 0 && c.integer("min_blocks") > c.integer("max_blocks"))
    throw std::invalid_argument("'min_blocks' is larger than 'max_blocks'");
}

static void keep_some(Keep& k) {
  const auto dim = static_cast<std::int64_t>(k.query(0).size());
  keep_queries(query_rule(k), k.extents(), k.query(0).data(), dim, k.source());
}

static void select_tiles(Select& s) {
  const BlockLimits limits = block_limits(s);
  for (const auto tile : s.query_tiles_here()) s.choose(tile, admitted_blocks(limits, s.scores(tile)));
}

static std::int64_t width(MethodCall& c) { return most_admitted(block_limits(c), c.key_tiles().count()); }

// As many as the rules aim at: the share of queries, rounded up in each (whole) window, times the share of keys.
static double pairs(MethodCall& c) {
  const tsr_attention& a = c.attention();
  const auto n = c.key_tiles().count();
  const BlockLimits limits = block_limits(c);
  const std::int64_t blocks = limits.rule == BlockRule::cdf ? most_admitted(limits, n) : aimed_at(limits, n);
  const double all =
      static_cast<double>(a.batch * a.q_heads) * static_cast<double>(a.q_len) * static_cast<double>(a.kv_len);
  std::int64_t slots = 1;  // of a window, clipped to the grid
  const auto window = c.integers("window"), grid = c.query_tiles().grid();
  for (std::size_t x = 0; x < window.size(); ++x) slots *= std::min(window[x], grid[x]);
  const double queries = static_cast<double>(share_of(c.real("keep_queries"), slots)) / static_cast<double>(slots);
  return all * queries * static_cast<double>(blocks) / static_cast<double>(n);
}

constexpr tsr_parameter parameters[] = {
    Parameter{.name = "tile",
              .type = TSR_INTEGERS,
              .fallback = "[4, 4, 4]",
              .low = 1,
              .high = 65536,
              .doc = "tokens of a tile along each axis of the grid"},
    Parameter{.name = "window",
              .type = TSR_INTEGERS,
              .fallback = "[2, 2, 2]",
              .low = 1,
              .high = 65536,
              .doc = "tokens of a window along each axis; as `tile`: the tile is one window"},
    Parameter{.name = "keep_queries",
              .fallback = "0.5",
              .low = 0,
              .high = 1,
              .doc = "fraction of the queries of each window that are computed, rounded up, at least one"},
    Parameter{.name = "center",
              .type = TSR_TEXT,
              .fallback = "slot",
              .choices = "slot|mean",
              .doc = "what queries are compared with: a token of the window, or the mean of its queries"},
    Parameter{.name = "center_slot",
              .type = TSR_INTEGER,
              .fallback = "-1",
              .low = -1,
              .high = 65536,
              .doc = "index of that token in an unclipped window; -1: the middle of each axis"},
    Parameter{.name = "force_center",
              .type = TSR_INTEGER,
              .fallback = "true",
              .low = 0,
              .high = 1,
              .doc = "true: the token compared with is itself computed"},
    Parameter{.name = "fill",
              .type = TSR_TEXT,
              .fallback = "center",
              .choices = "center|nearest_flat|nearest_cos|zero",
              .doc = "whose output the other queries of the window take"},
    Parameter{.name = "kv_rule",
              .type = TSR_TEXT,
              .fallback = "stat_prob",
              .choices = "stat_prob|stat_logit|cdf|topk",
              .doc = "which key tiles are admitted"},
    Parameter{.name = "kv_keep",
              .fallback = "0.1",
              .low = 0,
              .high = 1,
              .doc = "fraction of key tiles that the rules aim at; 1: all"},
    Parameter{.name = "tau", .fallback = "0.9", .low = 0, .high = 1, .doc = "cdf: probability to be covered; 1: all"},
    Parameter{.name = "min_blocks",
              .type = TSR_INTEGER,
              .fallback = "1",
              .low = 1,
              .high = 65536,
              .doc = "key tiles admitted at least"},
    Parameter{.name = "max_blocks",
              .type = TSR_INTEGER,
              .fallback = "0",
              .low = 0,
              .high = 65536,
              .doc = "key tiles admitted at most; 0: all"}};

constexpr const char* examples[] = {
    // Two tiles of two tokens, each one window whose middle is its second token. That one is computed, the other takes
    // its output; the best tile of keys is kept.
    "{{{{1}, {3}, {-1}, {-1}}}}; {{{{2}, {2}, {0}, {0}}}}; {{{{1}, {3}, {5}, {7}}}}; grid=[4]; tile=[2]; window=[2]; "
    "kv_rule=\"topk\"; kv_keep=0.5 -> {{{{2}, {2}, {6}, {6}}}}; _; _; _; _; {{0.25}}; i32{{{{0, 1, 1}, {1, 1, 1}}}}",
    // Two of four queries are computed: the center, here slot 0, and the one least like it. The others stay zero.
    "{{{{1, 0}, {1, 1}, {0, 1}, {1, 0.5}}}}; {{{{0, 0}, {0, 0}, {0, 0}, {0, 0}}}}; {{{{1}, {2}, {3}, {6}}}}; grid=[4]; "
    "tile=[4]; window=[4]; center_slot=0; fill=\"zero\" -> {{{{3}, {0}, {3}, {0}}}}; _; _; _; _; {{0.5}}; "
    "i32{{{{0, 0, -1, 2, -1}}}}",
    // All queries and all tiles is dense attention.
    "{{{{0}, {0}, {0}}}}; {{{{1}, {2}, {3}}}}; {{{{1}, {2}, {6}}}}; grid=[3]; tile=[2]; window=[2]; keep_queries=1; "
    "kv_keep=1 -> {{{{3}, {3}, {3}}}}; _; _; _; _; {{1}}"};

constexpr tsr_method methods[] = {
    Method{.name = "bsa",
           .doc = "In each window of a tile only some queries are computed, those least like the window's center; the "
                  "others take over an output. Each tile attends to the key tiles that a rule on the scores of tile "
                  "means admits: as many as it takes, not a fixed number.",
           .source = "Bidirectional Sparse Attention for Faster Video Diffusion Training, arXiv:2509.01085",
           .parameters = parameters,
           .check = guard<check_parameters>,
           .keep = guard<keep_some>,
           .select = guard<select_tiles>,
           .width = guard<width>,
           .pairs = guard<pairs>,
           .examples = examples}};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin =
      Plugin{.name = "bsa", .version = "1.0", .doc = "Bidirectional sparse attention", .methods = methods};
  return &plugin;
}
