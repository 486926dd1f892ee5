#include "tests/support/sparse_methods.h"

#include <tessera/choose.hpp>

#include "ops/attention/method.h"
#include "plugins/bsa/admitted_blocks.h"
#include "plugins/bsa/kept_queries.h"

namespace tessera {
namespace {

std::int64_t vsa_width(const AttentionMethod&, const MethodCall& c) {
  const auto n = c.key_tiles->tiles();
  if (c.parameters->has("topk")) return std::min(n, c.parameters->integer("topk"));
  return plugin::share_of(1 - c.parameters->real("sparsity"), n);
}
void vsa_select(const AttentionMethod& m, const MethodCall& c, const SelectTask& t) {
  const auto n = static_cast<std::size_t>(c.key_tiles->tiles());
  for (std::int64_t i = 0; i < t.count; ++i)
    t.lists[static_cast<std::size_t>(i)] = plugin::largest({t.scores + i * c.key_tiles->tiles(), n}, vsa_width(m, c));
}

std::unique_ptr<AttentionMethod> vsa() {
  auto m = std::make_unique<AttentionMethod>();
  m->name = "vsa", m->doc = "Video sparse attention.", m->source = "arXiv:2505.13389";
  m->parameters = {{"tile", AttributeType::integers, "[4, 4, 4]", 1, 1024, {}, "tokens"},
                   {"sparsity", AttributeType::real, "", 0, 1, {}, "fraction"},
                   {"topk", AttributeType::integer, "", 1, 1e9, {}, "tiles"}};
  m->select = vsa_select, m->width = vsa_width, m->coarse_gate = true;
  return m;
}

}  // namespace

const Registry& sparse_registry() {
  static const Registry registry = [] {
    Registry r = builtin_registry();
    const auto operators = make_operator(vsa());
    r.add(*operators.forward);
    r.add(*operators.backward);
    return r;
  }();
  return registry;
}

}  // namespace tessera
