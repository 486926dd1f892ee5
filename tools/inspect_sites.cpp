#include "tools/inspect_sites.h"

#include "runtime/pass/find_attention.h"
#include "runtime/pass/sites.h"
#include "tools/json.h"

namespace tessera {
namespace {

// "12", or "12/4" where 12 query heads share 4 key heads; the same for sizes of query and value heads.
std::string pair_text(std::int64_t a, std::int64_t b) { return a == b ? concat(a) : concat(a, "/", b); }

}  // namespace

std::string sites_text(const Graph& g, Format format) {
  Table sites{{"site", "role", "layer", "causal", "mask", "heads", "head_dim", "batch", "tokens", "keys", "scope"}, {}};
  for (const auto& s : attention_sites(g))
    sites.rows.push_back({s.name, std::string(name(s.role)), concat(s.layer), s.causal ? "yes" : "no",
                          std::string(name(s.mask)), pair_text(s.q_heads, s.kv_heads), pair_text(s.head_dim, s.v_dim),
                          concat(s.batch), concat(s.tokens), concat(s.keys), s.scope});
  Table missed{{"softmax", "is no attention because"}, {}};
  for (const auto& m : find_attention_pass.near_misses(g)) missed.rows.push_back({m.node, m.reason});
  const char* gap = format == Format::md ? "\n" : "";
  std::string text = concat("attention sites: ", sites.rows.size(), "\n", gap);
  if (!sites.rows.empty()) text += render(sites, format, 2) + gap;
  if (!missed.rows.empty())
    text += concat("softmax without a site: ", missed.rows.size(), "\n", gap, render(missed, format, 2));
  return text;
}

void add_sites(Json& report, const Graph& g) {
  Json sites = Json::array(), missed = Json::array();
  for (const auto& s : attention_sites(g))
    sites.push_back({{"name", s.name},
                     {"node", g.at(s.node).name},
                     {"operator", g.at(s.node).op->name},
                     {"role", name(s.role)},
                     {"layer", s.layer},
                     {"causal", s.causal},
                     {"mask", name(s.mask)},
                     {"heads", s.q_heads},
                     {"kv_heads", s.kv_heads},
                     {"head_dim", s.head_dim},
                     {"v_dim", s.v_dim},
                     {"batch", s.batch},
                     {"tokens", s.tokens},
                     {"keys", s.keys},
                     {"scope", s.scope}});
  for (const auto& m : find_attention_pass.near_misses(g))
    missed.push_back({{"softmax", m.node}, {"reason", m.reason}});
  report["sites"] = std::move(sites);
  report["softmax_without_site"] = std::move(missed);
}

}  // namespace tessera
