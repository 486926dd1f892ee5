#include "tools/explain/head_mask.h"

#include <fmt/format.h>

#include "ops/attention/attention_node.h"
#include "runtime/base/nearest.h"
#include "runtime/graph/build.h"
#include "runtime/pass/passes.h"
#include "runtime/pass/sites.h"
#include "runtime/session/graph_run.h"

namespace tessera {
namespace {

const AttentionSite& site_named(const std::vector<AttentionSite>& sites, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& s : sites) {
    if (s.name == name) return s;
    names.push_back(s.name);
  }
  Error e(Code::bad_input, concat("there is no attention site '", name, "'", nearest_or_all(name, names)));
  throw e.hint("`tessera inspect MODEL --sites` lists them");
}

std::string joined(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (const auto n : numbers) text += (text.empty() ? "" : " x ") + std::to_string(n);
  return text;
}

// The part of a node that serves a head, and the head's place in it.
std::pair<const AttentionNode::Part*, std::int64_t> part_of(const AttentionNode& node, std::int64_t head) {
  for (const auto& part : node.parts()) {
    const HeadRun& h = part.heads;
    const std::int64_t from_first = head - h.first;
    if (from_first >= 0 && from_first % h.step == 0 && from_first / h.step < h.n) return {&part, from_first / h.step};
  }
  throw Error(Code::internal, concat("no method serves head ", head));
}

// Pairs that are computed, by tiles. `row`: batch entry * heads of the selection + head.
void fill(TileMask& mask, const PlannedMethod& planned, const Selection& selection, std::int64_t row) {
  const TokenTiles& tiles = *planned.tiles;
  const std::int64_t n = tiles.tiles();
  mask.query_counts = mask.key_counts = tiles.counts;
  mask.share.assign(static_cast<std::size_t>(n * n), 0);
  for (std::int64_t t = 0; t < n; ++t) {
    int computed = tiles.size(t);
    if (const auto* source = selection.sources())
      for (std::int64_t p = tiles.first[static_cast<std::size_t>(t)]; p < tiles.first[static_cast<std::size_t>(t) + 1];
           ++p)
        computed -= source[row * tiles.tokens() + p] != p;
    for (const auto key : selection.lists.row(row, t))
      mask.share[static_cast<std::size_t>(t * n + key)] =
          static_cast<float>(computed) / static_cast<float>(tiles.size(t));
  }
}

// Everything but what the site needs is left out.
Graph up_to_site(Graph g, const Registry& registry, NodeId node) {
  GraphBuilder build(g, registry);
  const ValueId selection = build.output_of(node, attention_output::selection);
  const ValueId density = build.output_of(node, attention_output::density);
  g.outputs.clear();
  build.output("selection", selection);
  build.output("density", density);
  remove_dead_pass.run(g, registry);
  return g;
}

}  // namespace

TileMask mask_of_head(Graph bound, const Registry& registry, const NamedTensors& inputs, const HeadOfSite& shown,
                      const SessionOptions& options) {
  const AttentionSite at = site_named(attention_sites(bound), shown.site);
  const auto [site, head, batch] = shown;
  check(head >= 0 && head < at.q_heads, "--head: site '", site, "' has heads 0 to ", at.q_heads - 1, ", not ", head);
  check(batch >= 0 && batch < at.batch, "--batch: site '", site, "' has batch entries 0 to ", at.batch - 1, ", not ",
        batch);
  const std::string name = bound.at(at.node).name;
  GraphRun run(up_to_site(std::move(bound), registry, at.node), registry, options);
  const auto results = run.run(inputs);
  const auto density = results.at("density").read<float>()[static_cast<std::size_t>(batch * at.q_heads + head)];
  const std::string of_batch = at.batch > 1 ? fmt::format(", batch entry {} of {}", batch, at.batch) : "";
  TileMask mask{
      fmt::format("{}  head {}{}", site, head, of_batch), fmt::format("density {:.3f}", density), {1}, {1}, {density}};
  for (const Step& step : run.plan().steps) {
    const Node& node = run.plan().graph.at(step.node);
    if (node.name != name || node.op->domain != "tessera.attention") continue;  // casts around it have its name
    if (!step.state || node.op->name == "dense") break;
    const auto [part, place] = part_of(*static_cast<const AttentionNode*>(step.state.get()), head);
    const PlannedMethod& planned = *part->planned;
    mask.title += ": " + planned.method.name;
    if (!planned.selects()) {
      mask.caption = concat("the method chooses keys by itself; ", mask.caption);
      return mask;
    }
    const auto size = static_cast<std::size_t>(element_count(planned.selection_shape()));
    fill(mask, planned,
         read_selection(planned, results.at("selection")
                                     .read<std::int32_t>()
                                     .subspan(static_cast<std::size_t>(part->selection_begin), size)),
         batch * part->heads.n + place);
    mask.caption = fmt::format("{} tiles of {} tokens; {}", joined(planned.tiles->counts), joined(planned.tiles->cube),
                               mask.caption);
    return mask;
  }
  mask.caption = "every query attends to every key it may see; " + mask.caption;
  return mask;
}

}  // namespace tessera
