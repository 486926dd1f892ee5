// Parameters on their way from a policy to its nodes, and methods that take less than a site is.
#include <gmock/gmock.h>

#include "ops/attention/by_head.h"
#include "tests/support/policy_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;

const std::string grid = "grid: [4, 4]\n";

TEST(PolicyParameters, are_the_same_for_some_heads_as_for_all) {
  const std::string text = "say \\\\ \\\"a  b\\\" mode=near ";  // in YAML, where it reads: say \ "a  b" mode=near
  const std::string rules = grid + "rules: [{match: {layers: 0, role: self}, use: nearby, with: {share: 0.123456789, " +
                            "tile: [4.0, 4], extra: 2.0, word: \"" + text + "\"}}";
  PolicyModel whole, split;
  whole.apply(rules + "]\n");
  split.apply(rules + ", {match: {layers: 0, role: self, heads: 0}, use: dense}]\n");
  const auto texts = std::get<std::vector<std::string>>(split.site(0).attributes.at("methods"));
  const auto read = by_head::parse_method(texts.at(1)).parameters;
  ASSERT_EQ(read.size(), 4u);
  for (const auto& [name, value] : read)
    EXPECT_TRUE(equal({{name, value}}, {{name, whole.site(0).attributes.at(name)}})) << to_text(value);
}

TEST(PolicyRoles, of_cross_attention_get_a_warning_where_a_grid_is_cut) {
  const auto warning = [](const std::string& match) {
    PolicyModel model;
    const ValueId q = model.input("q", {1, 4, 16, 2}), k = model.input("k", {1, 4, 16, 2});
    model.output("z", model.named("/pair/Softmax", "tessera.attention::dense", {q, k, k}));
    testing::internal::CaptureStderr();
    model.apply(grid + "rules: [{match: {name: 'pair.*'" + match + "}, use: nearby}]\n");
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(warning(""), HasSubstr("p.yaml:3:40: 'nearby' cuts the keys of site 'pair.attention."));
  EXPECT_EQ(warning(", role: [self, cross]"), "");
}

}  // namespace
}  // namespace tessera
