// Gradients through a whole exported model against PyTorch's (graphs/wan_dit/gradients, computed in f64).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "runtime/load/load.h"
#include "runtime/load/tensor_file.h"
#include "runtime/plan/gradients_of.h"
#include "tests/support/interpret.h"
#include "tests/support/npy.h"

namespace tessera {
namespace {

const std::string folder = TESSERA_SOURCE_DIR "/graphs/wan_dit/";

// The tolerances of gradients.json: an element passes when near, or when small beside the largest.
void expect_gradient(const Tensor& got, const Tensor& expected, const std::string& name) {
  ASSERT_EQ(got.shape(), expected.shape()) << name;
  const auto a = doubles(got), b = doubles(expected);
  double largest = 0, worst = 0;
  for (const double x : b) largest = std::max(largest, std::abs(x));
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]);
    wrong += !(difference <= std::max(1e-6 + 1e-4 * std::abs(b[i]), 1e-5 * largest));
    worst = std::max(worst, difference / largest);
  }
  EXPECT_EQ(wrong, 0u) << name << ": largest difference " << worst << " of the largest value";
}

TEST(Gradients, of_a_video_dit_are_those_of_pytorch) {
  const std::map<std::string, std::string> files = {
      {"latent", "latent"},
      {"context", "context"},
      {"patch_embedding.weight", "patch_embedding.weight"},
      {"blocks.0.self_attn.norm_q.weight", "blocks.0.self_attn.norm_q.weight"},
      {"blocks.1.modulation", "blocks.1.modulation"},
      {"onnx::MatMul_1193", "blocks.0.self_attn.k.weight"},  // transposed by the exporter
  };
  std::vector<std::string> wrt;
  for (const auto& [name, file] : files) wrt.push_back(name);
  const auto joint =
      gradients_of(load(folder + "model.onnx", builtin_registry()), {}, "velocity", wrt, builtin_registry());

  std::map<std::string, Tensor> inputs = {{joint.seed, read_npy(folder + "gradients/dout.npy")}};
  for (int i = 0; i < 3; ++i) {
    const auto input = read_tensor_file(folder + concat("test_data_set_0/input_", i, ".pb"));
    inputs[input.name] = input.tensor;
  }
  const auto outputs = interpret(joint.graph, inputs);
  for (const auto& [name, file] : files)
    expect_gradient(outputs.at("d." + name), read_npy(folder + "gradients/" + file + ".npy"), name);
}

}  // namespace
}  // namespace tessera
