// Which head of which entry of the batch is drawn.
#include <gmock/gmock.h>

#include <algorithm>

#include "runtime/load/load.h"
#include "runtime/session/open_policy.h"
#include "tests/support/runner.h"
#include "tests/support/scratch_folder.h"
#include "tools/explain/head_mask.h"
#include "tools/inputs.h"

namespace tessera {
namespace {

using testing::HasSubstr;

const std::string model = source_path("graphs/wan_dit_dynamic/model.onnx"),
                  two = source_path("graphs/wan_dit_dynamic/test_data_set_1");  // a batch of two
std::string policy(const std::string& name) { return source_path("graphs/wan_dit/policies/" + name + ".yaml"); }

// Entry 0 becomes entry 1, and the other way round.
NamedTensors swapped(const NamedTensors& inputs) {
  NamedTensors result;
  for (const auto& [name, t] : inputs) {
    Tensor copy(t.dtype(), t.shape());
    const auto* from = static_cast<const std::byte*>(t.raw());
    const std::size_t half = t.bytes() / 2;
    std::rotate_copy(from, from + half, from + t.bytes(), static_cast<std::byte*>(copy.raw()));
    result[name] = copy;
  }
  return result;
}

TEST(HeadMask, shows_the_entry_of_the_batch_that_is_asked_for) {
  for (const char* name : {"vsa", "bsa", "mixed"}) {
    SCOPED_TRACE(name);
    const auto read = open_policy(policy(name));
    const Registry registry = registry_for({}, read.get());
    const Graph loaded = load(model, registry);
    const NamedTensors inputs = stored_inputs(two, loaded);
    const PolicyUse use = policy_use(read.get(), loaded, registry, {});
    const Graph bound = graph_after(Stage::policy, loaded, binding_of({}, loaded, inputs), registry, {}, use);
    const auto mask = [&](std::int64_t batch, const NamedTensors& given) {
      return mask_of_head(bound, registry, given, {"blocks.0.self_attn.attention.0", 1, batch}, {});
    };
    const TileMask second = mask(1, inputs), first = mask(0, inputs);
    EXPECT_EQ(second.share, mask(0, swapped(inputs)).share);
    EXPECT_EQ(first.share, mask(1, swapped(inputs)).share);
    EXPECT_NE(first.share, second.share);
    EXPECT_THAT(second.title, HasSubstr("head 1, batch entry 1 of 2: "));
  }
}

TEST(HeadMask, says_which_entries_there_are) {
  const ScratchFolder folder;
  const Ran r = tessera_cli({"explain", model, "--inputs", two, "--policy", policy("vsa"), "--mask",
                             "blocks.0.self_attn.attention.0", "--batch", "2", "-o", folder / "mask.png"});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("--batch: site 'blocks.0.self_attn.attention.0' has batch entries 0 to 1, not 2"));
}

}  // namespace
}  // namespace tessera
