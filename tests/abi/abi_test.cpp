// Plugins of other versions of the ABI: older ones load for ever, newer ones where they say so.
#include <gmock/gmock.h>

#include <sys/utsname.h>
#include <filesystem>

#include "tests/support/runner.h"
#include "tests/support/scratch_folder.h"

namespace tessera {
namespace {

using testing::HasSubstr;

std::string built(const std::string& name) { return TESSERA_TEST_PLUGINS "/" + name + ".so"; }

// Of this machine's architecture.
std::string first_binary() {
  utsname system{};
  uname(&system);
  return source_path(std::string("tests/abi/first-") + system.machine + ".so");
}

class Abi : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(first_binary())) GTEST_SKIP() << "no binary was kept for this architecture";
  }
};

TEST_F(Abi, the_first_binary_still_loads_and_passes_its_examples) {
  const Ran r = tessera_cli({"plugins", "doctor", first_binary()});
  EXPECT_EQ(r.code, 0) << r.out << r.err;
}

// The binary of the first day and the same source built today give the same bits, forward and backward.
TEST_F(Abi, the_first_binary_still_computes_what_its_source_says) {
  const ScratchFolder folder;
  const std::string dit = source_path("graphs/wan_dit/");
  const std::string policy = folder.write("p.yaml",
                                          "version: 1\n"
                                          "grid: {input: latent, axes: [2, 3, 4], patch: [1, 2, 2]}\n"
                                          "rules:\n"
                                          "  - {match: {role: self}, use: abi_band, with: {tile: [2, 3, 4], keys: 5}}\n"
                                          "  - {match: {role: cross}, use: abi_dense}\n");
  const auto gradients = [&](const std::string& plugin, const std::string& to) {
    const Ran r = tessera_cli({"grad", dit + "model.onnx", "--inputs", dit + "test_data_set_0", "--policy", policy,
                               "--plugin", plugin, "--loss", "velocity", "--dout", dit + "gradients/dout.npy", "--wrt",
                               "latent,context", "--save", folder / to, "--quiet"});
    EXPECT_EQ(r.code, 0) << r.err;
    return file_text(folder / to);
  };
  const std::string then = gradients(first_binary(), "then.npz");
  EXPECT_GT(then.size(), 1000u);
  EXPECT_TRUE(then == gradients(built("first"), "now.npz"));
}

TEST(AbiNegotiation, a_newer_plugin_that_is_content_with_this_version_loads) {
  const Ran r = tessera_cli({"plugins", "doctor", built("newer")});
  EXPECT_EQ(r.code, 0) << r.out << r.err;
  EXPECT_THAT(tessera_cli({"ops", "--plugin", built("newer")}).out, HasSubstr("Negate"));
}

}  // namespace
}  // namespace tessera
