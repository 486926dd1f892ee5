// A GPT with a KV cache: outputs are fed back as inputs, step after step, each with new shapes.
#include <gtest/gtest.h>

#include <fstream>

#include "runtime/load/tensor_file.h"
#include "runtime/session/session.h"

namespace tessera {
namespace {

// The data of an .npy file of i64, whose header is padded to 128 bytes.
std::vector<std::int64_t> read_integers(const std::string& path, std::size_t n) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(128);
  std::vector<std::int64_t> values(n);
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(n * sizeof(std::int64_t)));
  EXPECT_TRUE(file.good()) << path;
  return values;
}

TEST(GenerateText, follows_the_exporter_for_64_tokens) {
  const std::string folder = std::string(TESSERA_SOURCE_DIR) + "/graphs/gpt_kv";
  const auto expected = read_integers(folder + "/generated.npy", 2 * 64);
  for (const int threads : {1, 2}) {
    auto session = Session::open(folder + "/model.onnx", {.threads = threads, .plan_limit = 4});
    NamedTensors inputs;
    for (std::size_t i = 0; i < session.inputs().size(); ++i)
      inputs[session.inputs()[i].name] = read_tensor_file(concat(folder, "/test_data_set_0/input_", i, ".pb")).tensor;
    for (std::size_t token = 0; token < 64; ++token) {
      auto outputs = session.run(inputs);
      const auto next = outputs.at("next_ids").read<std::int64_t>();
      for (std::size_t b = 0; b < 2; ++b) ASSERT_EQ(next[b], expected[b * 64 + token]) << "token " << token;
      inputs["input_ids"] = outputs.at("next_ids");
      for (const auto* cache : {"key_0", "value_0", "key_1", "value_1"})
        inputs[concat("past_", cache)] = std::move(outputs.at(concat("present_", cache)));
    }
    EXPECT_EQ(inputs.at("past_key_0").dim(2), 73);
    EXPECT_EQ(session.plans(), 4u);
  }
}

}  // namespace
}  // namespace tessera
