#include "runtime/op/context.h"

namespace tessera {
namespace {

void expand(RewriteContext& c) {
  Attributes attributes;
  if (const auto axis = c.attributes.find("axis"); axis != c.attributes.end()) attributes.insert(*axis);
  c.become({c.build.node("ScatterElements", c.in, attributes)});
}

}  // namespace

extern constinit const OpDef op_scatter = define({
    .name = "Scatter",
    .since = 9,
    .introduced = 9,
    .doc = "The old name of ScatterElements.",
    .source = "ONNX Scatter-9",
    .inputs = {{"data", "T", "any shape of rank >= 1"},
               {"indices", "Tind", "rank of data"},
               {"updates", "T", "shape of indices"}},
    .outputs = {{"output", "T", "shape of data"}},
    .attributes = {{"axis", AttributeType::integer, 0, "in [-rank, rank)"}},
    .types = {{"T", dtypes::all}, {"Tind", dtypes::indices}},
    .expand = expand,
});

}  // namespace tessera
