#include "runtime/op/context.h"

namespace tessera {
namespace {

// Resize with coordinates divided by the scale and rounded down.
void expand(RewriteContext& c) {
  const auto scales = c.attributes.find("scales");  // an attribute before opset 9
  if (scales != c.attributes.end()) {
    const auto* values = std::get_if<std::vector<float>>(&scales->second);
    check(values != nullptr, "attribute 'scales' must be floats");
    c.in.resize(2, ValueId::none);
    c.in[1] = c.build.constant(Tensor::vector<float>(*values));
  }
  check(c.has(0) && c.has(1), "Upsample needs X and scales");
  const auto mode = c.attributes.find("mode");
  Attributes attributes = {{"coordinate_transformation_mode", std::string("asymmetric")},
                           {"nearest_mode", std::string("floor")}};
  attributes["mode"] = mode == c.attributes.end() ? Attribute(std::string("nearest")) : mode->second;
  c.become({c.build.node("Resize", {c.in[0], ValueId::none, c.in[1]}, attributes)});
}

// Images had a scale for each of their axes.
void scales_of_images(RewriteContext& c) {
  std::vector<float> scales{1, 1};
  for (const auto* name : {"height_scale", "width_scale"}) {
    const auto at = c.attributes.find(name);
    const auto* scale = at == c.attributes.end() ? nullptr : std::get_if<float>(&at->second);
    check(scale != nullptr, "Upsample needs attribute '", name, "'");
    scales.push_back(*scale);
    c.attributes.erase(at);
  }
  c.attributes["scales"] = scales;
  const auto mode = c.attributes.find("mode");
  if (mode == c.attributes.end()) return;
  if (auto* text = std::get_if<std::string>(&mode->second); text != nullptr && *text == "bilinear") *text = "linear";
}

}  // namespace

extern constinit const OpDef op_upsample = define({
    .name = "Upsample",
    .since = 9,
    .doc = "Deprecated by Resize: the input sampled on a finer grid.",
    .source = "ONNX Upsample-9",
    .inputs = {{"X", "T", "any shape"},
               {"scales", "f32", "[rank of X], each >= 1; an attribute before opset 9", Presence::optional}},
    .outputs = {{"Y", "T", "floor(dim x scale)"}},
    .attributes = {{"mode", AttributeType::text, "nearest", "as Resize", "nearest|linear|cubic"},
                   {"scales", AttributeType::reals, {}, "before opset 9"}},
    .types = {{"T", dtypes::all}},
    .expand = expand,
    .adapt = {{7, scales_of_images}},
});

}  // namespace tessera
