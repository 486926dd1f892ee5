// Tensor data in files beside the model: found, checked, and contained.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "runtime/load/load.h"
#include "runtime/tensor/text.h"
#include "tests/support/model_text.h"
#include "tests/support/scratch_folder.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string data("\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40", 16);  // f32 1 2 3 4

std::string entry(const std::string& key, const std::string& value) {
  return "external_data { key: \"" + key + "\" value: \"" + value + "\" } ";
}
// A model whose only tensor is f32 [2] in `location`.
std::string model(const std::string& location, const std::string& more = {}) {
  return model_text("initializer { name: \"w\" data_type: 1 dims: 2 data_location: EXTERNAL " +
                    entry("location", location) + more + "} output { name: \"w\" }");
}

struct ExternalData : testing::Test {
  ScratchFolder folder;
  std::string path = folder.at("model/model.textproto");

  std::string values(const std::string& location, const std::string& more = {}) {
    folder.write("model/model.textproto", model(location, more));
    return to_text(load(path, builtin_registry()).find("w")->constant);
  }
  std::string failure(const std::string& location, const std::string& more = {}) {
    folder.write("model/model.textproto", model(location, more));
    const Failure f = failure_of(path);
    EXPECT_EQ(f.code, 2) << f.text;
    return f.text;
  }
};

TEST_F(ExternalData, offset_and_length_select_a_part) {
  folder.write("model/data/w.bin", data);
  EXPECT_EQ(values("data/w.bin"), "f32{1, 2}");
  EXPECT_EQ(values("data/w.bin", entry("offset", "8") + entry("length", "8")), "f32{3, 4}");
  EXPECT_EQ(values("./data/w.bin", entry("offset", "4") + entry("checksum", "any")), "f32{2, 3}");
}

TEST_F(ExternalData, parts_outside_of_the_file_are_refused) {
  folder.write("model/w.bin", data);
  EXPECT_THAT(failure("w.bin", entry("offset", "12")), HasSubstr("8 at offset 12 run past its end"));
  EXPECT_THAT(failure("w.bin", entry("offset", "4096")), HasSubstr("run past its end"));
  EXPECT_THAT(failure("w.bin", entry("length", "4096")), HasSubstr("run past its end"));
  EXPECT_THAT(failure("w.bin", entry("length", "4")), HasSubstr("4 bytes of data but f32 [2] takes 8"));
  EXPECT_THAT(failure("w.bin", entry("offset", "18446744073709551612")), HasSubstr("run past its end"));
  EXPECT_THAT(failure("w.bin", entry("offset", "-8")), HasSubstr("no size"));
  EXPECT_THAT(failure("w.bin", entry("offset", "12abc")), HasSubstr("no size"));
  EXPECT_THAT(failure("w.bin", entry("offset", "99999999999999999999999")), HasSubstr("no size"));
}

TEST_F(ExternalData, locations_outside_of_the_model_s_folder_are_refused) {
  folder.write("secret.bin", data);
  folder.write("outside/secret.bin", data);
  folder.write("model/sub/inside.bin", data);
  fs::create_symlink(folder.path() / "secret.bin", folder.path() / "model/link.bin");
  fs::create_symlink(folder.path() / "outside", folder.path() / "model/linked");
  fs::create_symlink("sub/inside.bin", folder.path() / "model/kept.bin");
  EXPECT_THAT(failure("../secret.bin"), HasSubstr("without '..'"));
  EXPECT_THAT(failure("sub/../../secret.bin"), HasSubstr("without '..'"));
  EXPECT_THAT(failure(folder.at("model/sub/inside.bin")), HasSubstr("relative"));
  EXPECT_THAT(failure("link.bin"), HasSubstr("leads out of the model's folder"));
  EXPECT_THAT(failure("linked/secret.bin"), HasSubstr("leads out of the model's folder"));
  EXPECT_EQ(values("kept.bin"), "f32{1, 2}");
}

TEST_F(ExternalData, what_is_no_file_is_refused_without_waiting) {
  fs::create_directories(folder.path() / "model/sub");
  ::mkfifo(folder.at("model/pipe").c_str(), 0600);
  EXPECT_THAT(failure("nothing.bin"), HasSubstr("cannot be found beside the model"));
  EXPECT_THAT(failure("sub"), HasSubstr("not a regular file"));
  EXPECT_THAT(failure("pipe"), HasSubstr("not a regular file"));
  EXPECT_THAT(failure(""), HasSubstr("no usable location"));
}

TEST_F(ExternalData, snapshots_lead_into_the_blob_store_beside_them) {
  folder.write("hub/blobs/1234", data);
  folder.write("hub/snapshots/rev/onnx/model.textproto", model("weights.bin"));
  fs::create_symlink("../../../blobs/1234", folder.path() / "hub/snapshots/rev/onnx/weights.bin");
  EXPECT_EQ(to_text(load(folder.at("hub/snapshots/rev/onnx/model.textproto"), builtin_registry()).find("w")->constant),
            "f32{1, 2}");
}

TEST_F(ExternalData, weights_alias_the_file) {
  folder.write("model/w.bin", data);
  folder.write("model/model.textproto", model("w.bin"));
  const Tensor w = load(path, builtin_registry()).find("w")->constant;
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(w.raw()) % 4096,
            0u);  // the start of the mapping, which outlives the graph
  EXPECT_EQ(w.read<float>()[1], 2.0f);
}

}  // namespace
}  // namespace tessera
