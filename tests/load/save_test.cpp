#include "runtime/load/save.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <csignal>

#include "runtime/load/load.h"
#include "runtime/tensor/text.h"
#include "tests/support/model_text.h"
#include "tests/support/same_graph.h"
#include "tests/support/scratch_folder.h"

namespace tessera {
namespace {

using testing::HasSubstr;

// Two inputs, one symbolic; a large and a small weight; a scope; an attribute list; an output that is also read.
Graph sample() {
  return load_text(R"(
    node { name: "/block/add" op_type: "Add" input: "x" input: "large" output: "s" }
    node { op_type: "Reshape" input: "s" input: "dims" output: "y" }
    node { name: "last" op_type: "Relu" input: "y" output: "z"
           metadata_props { key: "namespace" value: ": M/head: Head/relu: aten.relu" } }
    initializer { name: "dims" data_type: 7 dims: 1 int64_data: -1 }
    initializer { name: "large" data_type: 1 dims: 1024 )" +
                       [] {
                         std::string values;
                         for (int i = 0; i < 1024; ++i) values += "float_data: " + std::to_string(i) + " ";
                         return values;
                       }() +
                       R"( }
    input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_param: "n" } dim { } dim { dim_value: 1024 } } } } }
    output { name: "y" } output { name: "z" })",
                   R"( metadata_props { key: "license" value: "MIT" } )");
}

TEST(Save, what_is_saved_loads_as_the_same_graph) {
  const ScratchFolder folder;
  const Graph g = sample();
  for (const std::string name : {"m.onnx", "m.textproto"}) {
    for (const std::size_t above : {0, 1024}) {
      save(g, folder.at(name), {.external_above = above});
      EXPECT_EQ(std::filesystem::exists(folder.at(name + ".data")), above > 0);
      const Graph back = load(folder.at(name), builtin_registry());
      EXPECT_EQ(difference(g, back), "") << name;
      EXPECT_EQ(back.opset, 24);
      std::filesystem::remove(folder.at(name + ".data"));
    }
  }
}

TEST(Save, a_model_may_replace_the_file_it_came_from) {
  const ScratchFolder folder;
  save(sample(), folder.at("m.onnx"));
  Graph g = load(folder.at("m.onnx"), builtin_registry());
  save(g, folder.at("m.onnx"));
  EXPECT_EQ(difference(g, load(folder.at("m.onnx"), builtin_registry())), "");
}

TEST(Save, outputs_that_are_inputs_or_constants_or_the_same_value) {
  const ScratchFolder folder;
  Graph g = load_text(R"(
    node { op_type: "Relu" input: "x" output: "y" }
    initializer { name: "c" data_type: 1 dims: 1 float_data: 1 }
    input { name: "x" type { tensor_type { elem_type: 1 } } }
    output { name: "x" } output { name: "c" } output { name: "y" })");
  save(g, folder.at("m.onnx"));
  EXPECT_EQ(difference(g, load(folder.at("m.onnx"), builtin_registry())), "");
  g.outputs.push_back({"again", g.outputs[2].value});
  g.outputs.push_back({"copy", g.outputs[0].value});
  save(g, folder.at("m.onnx"));
  const Graph back = load(folder.at("m.onnx"), builtin_registry());
  ASSERT_EQ(back.outputs.size(), 5u);
  EXPECT_EQ(back.outputs[3].name, "again");
  EXPECT_EQ(back.at(NodeId{1}).op->name, "Identity");
}

// Nodes that an adaptation wrote share the name of the node they stand for; saving and loading once tells them apart.
TEST(Save, exported_models_come_back_the_same) {
  const ScratchFolder folder;
  for (const std::string name : {"gpt_kv", "t5_encoder", "vit", "vae3d", "wan_dit", "wan_dit_dynamic"}) {
    const Graph original = load(std::string(TESSERA_SOURCE_DIR "/graphs/") + name + "/model.onnx", builtin_registry());
    save(original, folder.at("first.onnx"));
    const Graph first = load(folder.at("first.onnx"), builtin_registry());
    EXPECT_EQ(first.nodes.size(), original.nodes.size());
    EXPECT_EQ(first.inputs.size(), original.inputs.size());
    save(first, folder.at("second.onnx"));
    EXPECT_EQ(difference(first, load(folder.at("second.onnx"), builtin_registry())), "") << name;
  }
}

TEST(Save, failing_leaves_what_was_there) {
  const ScratchFolder folder;
  folder.write("full/m.onnx/keep", "");  // a folder stands where the model should go
  try {
    save(sample(), folder.at("full/m.onnx"));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::run_time);
    EXPECT_THAT(e.what(), HasSubstr("m.onnx"));
  }
  EXPECT_TRUE(std::filesystem::exists(folder.at("full/m.onnx/keep")));
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path() / "full"))
    files += entry.path() != folder.at("full/m.onnx");
  EXPECT_LE(files, 1);  // the data file, complete
}

TEST(Save, a_full_disk_leaves_what_was_there) {
  const ScratchFolder folder;
  const Graph g = sample();
  save(g, folder.at("m.onnx"));
  struct rlimit before {};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small { 2048, before.rlim_max };
  ::setrlimit(RLIMIT_FSIZE, &small);
  int code = 0;
  try {
    save(g, folder.at("m.onnx"));
  } catch (const Error& e) {
    code = static_cast<int>(e.code());
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(code, 6);
  EXPECT_EQ(difference(g, load(folder.at("m.onnx"), builtin_registry())), "");
  int files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++files;
  EXPECT_EQ(files, 2);
}

}  // namespace
}  // namespace tessera
