// The subcommands on the example models.
#include <gtest/gtest.h>

#include <fstream>

#include "runtime/load/load.h"
#include "tests/support/json_schema.h"
#include "tests/support/runner.h"
#include "tests/support/scratch_folder.h"
#include "tools/npz.h"
#include "tools/tensor_files.h"

namespace tessera {
namespace {

const std::string graphs[] = {"gpt_kv", "t5_encoder", "vae3d", "vit", "wan_dit", "wan_dit_dynamic"};

std::string model(const std::string& name) { return source_path("graphs/" + name + "/model.onnx"); }
std::string data(const std::string& name) { return source_path("graphs/" + name + "/test_data_set_0"); }

class Verify : public testing::TestWithParam<std::string> {};

TEST_P(Verify, passes_and_gives_the_same_bits_for_any_number_of_threads) {
  const ScratchFolder folder;
  std::map<std::string, Tensor> saved[2];
  for (const int threads : {1, 2}) {
    const std::string file = folder / (std::to_string(threads) + ".npz");
    const Ran r = tessera_cli(
        {"verify", source_path("graphs/" + GetParam()), "--threads", std::to_string(threads), "--save", file});
    ASSERT_EQ(r.code, 0) << r.out << r.err;
    saved[threads - 1] = read_npz(file);
  }
  ASSERT_EQ(saved[0].size(), saved[1].size());
  for (const auto& [name, tensor] : saved[0]) EXPECT_TRUE(same_bits(tensor, saved[1].at(name))) << name;
}
INSTANTIATE_TEST_SUITE_P(Graphs, Verify, testing::ValuesIn(graphs), [](const auto& info) { return info.param; });

TEST(VerifyDiffers, exits_with_1_and_says_where) {
  const Ran r = tessera_cli({"verify", source_path("graphs/vit"), "--rtol", "0", "--atol", "0", "--rel-max", "0"});
  EXPECT_EQ(r.code, 1) << r.err;
  EXPECT_NE(r.out.find("elements differ"), std::string::npos) << r.out;
}

TEST(VerifyDiffers, reports_the_folders_beside_one_that_cannot_be_read) {
  const ScratchFolder folder;
  std::filesystem::create_directory(folder / "test_data_set_0");
  std::filesystem::create_symlink("model.textproto", folder / "model.textproto");
  const Ran r = tessera_cli({"verify", folder.path(), source_path("graphs/vit")});
  EXPECT_EQ(r.code, 2) << r.err;
  EXPECT_NE(r.out.find("graphs/vit"), std::string::npos) << r.out;
}

TEST(VerifyDiffers, comes_before_a_file_that_cannot_be_written) {
  const ScratchFolder folder;
  std::filesystem::create_symlink("/dev/full", folder / "full.npz");
  const Ran r = tessera_cli({"verify", source_path("graphs/vit"), "--rtol", "0", "--atol", "0", "--rel-max", "0",
                             "--save", folder / "full.npz"});
  EXPECT_EQ(r.code, 1) << r.err;
  EXPECT_NE(r.err.find("No space left"), std::string::npos) << r.err;
}

TEST(Run, generates_text_with_a_cache) {
  const ScratchFolder folder;
  const Ran r = tessera_cli({"run",       model("gpt_kv"),
                             "--inputs",  data("gpt_kv"),
                             "--steps",   "64",
                             "--carry",   "next_ids=input_ids",
                             "--carry",   "present_key_0=past_key_0",
                             "--carry",   "present_value_0=past_value_0",
                             "--carry",   "present_key_1=past_key_1",
                             "--carry",   "present_value_1=past_value_1",
                             "--collect", "next_ids=" + (folder / "ids.npy"),
                             "--output",  "present_key_0=" + (folder / "key.npy")});
  ASSERT_EQ(r.code, 0) << r.err;
  const Tensor ids = read_tensor(folder / "ids.npy", ""),
               expected = read_tensor(source_path("graphs/gpt_kv/generated.npy"), "");
  ASSERT_EQ(ids.shape(), (Shape{64, 2, 1}));
  for (std::int64_t step = 0; step < 64; ++step)
    for (std::int64_t row = 0; row < 2; ++row)
      EXPECT_EQ(ids.read<std::int64_t>()[step * 2 + row], expected.read<std::int64_t>()[row * 64 + step]);
  EXPECT_EQ(read_tensor(folder / "key.npy", "").dim(2), 73);
}

TEST(Run, made_up_inputs_follow_the_sizes_given) {
  const Ran r = tessera_cli({"run",      model("wan_dit_dynamic"),
                             "--set",    "batch=1",
                             "--set",    "frames=2",
                             "--set",    "height=4",
                             "--set",    "width=6",
                             "--set",    "text=3",
                             "--input",  "latent=random:normal,seed=1",
                             "--input",  "timestep=random:uniform,seed=2",
                             "--input",  "context=random:normal,seed=3",
                             "--format", "json"});
  ASSERT_EQ(r.code, 0) << r.err;
  const Json report = parse_json(r.out);
  EXPECT_EQ(report["outputs"][0]["shape"], Json::array({1, 16, 2, 4, 6}));
  EXPECT_EQ(report["outputs"][0]["nan"], 0);
}

TEST(Grad, agrees_with_pytorch) {
  const ScratchFolder folder;
  const std::string gradients = source_path("graphs/wan_dit/gradients/");
  const Json about = parse_json(file_text(gradients + "gradients.json"));
  std::string wrt;
  for (const auto& [name, file] : about["gradients"].items()) wrt += (wrt.empty() ? "" : ",") + name;
  const Ran r = tessera_cli({"grad", model("wan_dit"), "--inputs", data("wan_dit"), "--loss", "velocity", "--dout",
                             gradients + "dout.npy", "--wrt", wrt, "--save", folder / "g.npz"});
  ASSERT_EQ(r.code, 0) << r.err;
  const auto all = read_npz(folder / "g.npz");
  for (const auto& [name, file] : about["gradients"].items()) {
    const Tensor expected = read_tensor(gradients + file.get<std::string>(), "");
    const auto x = all.at("d." + name).read<float>(), y = expected.read<float>();
    ASSERT_EQ(x.size(), y.size()) << name;
    float largest = 0, error = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      largest = std::max(largest, std::abs(y[i]));
      error = std::max(error, std::abs(x[i] - y[i]));
    }
    EXPECT_LE(error, 1e-5f * largest) << name;
  }
}

TEST(Generate, writes_the_same_model_again) {
  const ScratchFolder folder;
  for (const char* form : {"onnx", "decomposed"}) {
    for (const char* name : {"a", "b"}) {
      const Ran r =
          tessera_cli({"generate", "dit", "-o", folder / name, "--attention", form, "--grid", "2,2,3", "--text", "5"});
      ASSERT_EQ(r.code, 0) << r.err;
    }
    EXPECT_EQ(file_text(folder / "a/model.onnx"), file_text(folder / "b/model.onnx"));
    EXPECT_EQ(file_text(folder / "a/model.onnx.data"), file_text(folder / "b/model.onnx.data"));
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / "a"), {}), 2);
  }
}

TEST(Generate, both_forms_compute_the_same) {
  const ScratchFolder folder;
  std::map<std::string, Tensor> outputs[2];
  int i = 0;
  for (const char* form : {"onnx", "decomposed"}) {
    ASSERT_EQ(
        tessera_cli({"generate", "dit", "-o", folder / form, "--attention", form, "--grid", "2,3,4", "--seed", "5"})
            .code,
        0);
    const Ran r = tessera_cli({"run", (folder / form) + "/model.onnx", "--input", "latent=random:normal,seed=1",
                               "--input", "t=random:uniform", "--input", "context=random:normal,seed=2", "--save",
                               (folder / form) + ".npz"});
    ASSERT_EQ(r.code, 0) << r.err;
    outputs[i++] = read_npz((folder / form) + ".npz");
  }
  const auto x = outputs[0].at("velocity").read<float>(), y = outputs[1].at("velocity").read<float>();
  for (std::size_t n = 0; n < x.size(); ++n) EXPECT_NEAR(x[n], y[n], 1e-4);
}

}  // namespace
}  // namespace tessera
