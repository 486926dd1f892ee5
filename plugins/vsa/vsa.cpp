// Video sparse attention: each tile of queries attends to the K tiles of keys whose means score highest, and a gate
// adds attention over all tile means. See README.md.
#include <tessera/attention_method.hpp>
#include <tessera/choose.hpp>

using namespace tessera::plugin;

static std::int64_t tiles_kept(MethodCall& c) {
  const std::int64_t n = c.key_tiles().count();
  return c.given("topk") ? std::min(c.integer("topk"), n) : share_of(1 - c.real("sparsity"), n);
}

static void check_parameters(MethodCall& c) {
  if (c.given("topk") == c.given("sparsity")) throw std::invalid_argument("give exactly one of 'sparsity' and 'topk'");
}

static void select_tiles(Select& s) {
  const std::int64_t kept = tiles_kept(s);
  for (const auto tile : s.query_tiles_here()) s.choose(tile, largest(s.scores(tile), kept));
}

constexpr tsr_parameter parameters[] = {
    Parameter{.name = "tile",
              .type = TSR_INTEGERS,
              .fallback = "[4, 4, 4]",
              .low = 1,
              .high = 65536,
              .doc = "tokens of a tile along each axis of the grid"},
    Parameter{.name = "sparsity",
              .low = 0,
              .high = 1,
              .doc = "fraction of key tiles left out: K = ceil((1 - sparsity) n), at least 1"},
    Parameter{.name = "topk",
              .type = TSR_INTEGER,
              .low = 1,
              .high = 65536,
              .doc = "K, in place of sparsity; at most all tiles"}};

constexpr const char* examples[] = {
    // Tiles {0, 1} and {2, 3}, means of keys 2 and 0: the first tile of queries takes the first of keys, the second,
    // with negative queries, the second.
    "{{{{1}, {3}, {-1}, {-1}}}}; {{{{2}, {2}, {0}, {0}}}}; {{{{1}, {3}, {5}, {7}}}}; grid=[4]; tile=[2]; topk=1 -> "
    "{{{{2}, {2}, {6}, {6}}}}; _; _; _; {{{2.6931472, 6.6931472, 0.6931472, 0.6931472}}}; {{0.5}}; "
    "i32{{{{0, 0, 1}, {1, 0, 1}}}}",
    // The gate adds softmax([0, ln 3]) over the means 2 and 6, which is 5, to half of the tokens.
    "{{{{1}, {1}, {1}, {1}}}}; {{{{0}, {0}, {1.0986123}, {1.0986123}}}}; {{{{1}, {3}, {5}, {7}}}}; _; _; _; _; "
    "{{{{0}, {1}, {0}, {-1}}}}; grid=[4]; tile=[2]; sparsity=0.5 -> {{{{6}, {11}, {6}, {1}}}}",
    // A grid of three by three tokens cut by two: edge tiles are clipped. All tiles kept is dense attention.
    "{{{{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}}}}; {{{{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}}}}; "
    "{{{{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}}}}; grid=[3, 3]; tile=[2, 2]; sparsity=0 -> "
    "{{{{5}, {5}, {5}, {5}, {5}, {5}, {5}, {5}, {5}}}}; _; _; _; _; {{1}}"};

constexpr tsr_method methods[] = {
    Method{.name = "vsa",
           .doc = "Every tile of queries attends to the K tiles of keys whose mean keys score highest against its mean "
                  "query. With a gate, softmax attention over the means of all tiles is added, times the gate.",
           .source = "Zhang et al. 2025, VSA: Faster Video Diffusion with Trainable Sparse Attention, arXiv:2505.13389",
           .parameters = parameters,
           .coarse_gate = true,
           .check = guard<check_parameters>,
           .select = guard<select_tiles>,
           .width = guard<tiles_kept>,
           .examples = examples}};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin =
      Plugin{.name = "vsa", .version = "1.0", .doc = "Video sparse attention", .methods = methods};
  return &plugin;
}
