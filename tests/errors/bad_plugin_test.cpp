// Bad plugins: each way loading one can fail, and each way one can break its contract, with the message and exit code.
#include <gmock/gmock.h>

#include <elf.h>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "runtime/base/error.h"
#include "runtime/session/plugin_host/library.h"
#include "tests/support/runner.h"
#include "tests/support/scratch_folder.h"

namespace tessera {
namespace {

using testing::HasSubstr;

std::string bad(const std::string& name) { return TESSERA_BAD_PLUGINS "/" + name + ".so"; }

std::string good() { return std::filesystem::path(TESSERA_RUNNER).parent_path() / "plugins/swish.so"; }

void write(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

// Doctor says it; using it in a run is refused with the same words.
void expect_failure(const std::string& library, const std::vector<std::string>& says) {
  const Ran doctor = tessera_cli({"plugins", "doctor", library});
  EXPECT_EQ(doctor.code, 5) << library << doctor.out << doctor.err;
  EXPECT_EQ(doctor.err, "") << library;
  for (const auto& part : says) EXPECT_THAT(doctor.out, HasSubstr(part)) << library;
  const Ran run = tessera_cli({"ops", "--plugin", library});
  EXPECT_EQ(run.code, 5) << library << run.err;
  EXPECT_EQ(run.out, "") << library;
  for (const auto& part : says) EXPECT_THAT(run.err, HasSubstr(part)) << library;
}

TEST(BadPlugin, is_refused_with_a_reason_and_the_next_step) {
  const std::pair<const char*, std::vector<std::string>> cases[] = {
      {"no_entry", {"exports no tsr_plugin_entry", "tessera_add_plugin"}},
      {"entry_without_table", {"returned no table", "constant tsr_plugin"}},
      {"entry_that_throws", {"threw an exception: no licence", "constant table"}},
      {"too_new", {"too new: it needs plugin ABI 2, this Tessera has 1", "headers"}},
      {"other_headers",
       {"operator 0 of the plugin has a tsr_op of 120 bytes; it has at least 128", "build the plugin against"}},
      {"taken_method", {"attention method 'dense' is built in", "another name"}},
      {"two_alike", {"two operators 'bad::Alike'"}},
      {"two_names_of_onnx", {"two operators 'ai.onnx::Alike'"}},
      {"far_version", {"operator 'FarVersion' has version 3000000000; versions are 1 to 2147483647"}},
      {"variadic_output", {"output 'Y' of operator 'VariadicOutput' is variadic, which only the last input can be"}},
      {"empty_default", {"parameter 'mode' of operator 'EmptyDefault' has an empty default"}},
      {"gate_without_tiles", {"attention method 'gated' selects no tiles and has a keep, a width or a coarse gate"}},
      {"no_doc", {"operator 'Silent' has no doc", "write it"}},
      {"no_source", {"operator 'Silent' has no source", "write it"}},
      {"wrong_default", {"'alpha' must be an integer from 0 to 5, got 7", "operator 'WrongDefault'"}},
      {"undefined_symbol", {"uses 'defined_nowhere()', which nothing defines", "link the plugin"}},
      {"missing_dependency", {"needs the library 'libgoes_missing.so'", "LD_LIBRARY_PATH"}},
  };
  for (const auto& [name, says] : cases) expect_failure(bad(name), says);
}

TEST(BadPlugin, files_that_are_no_plugins) {
  const ScratchFolder folder;
  const std::string bytes = file_text(good());
  const auto changed = [&](std::size_t at, char value) {
    std::string copy = bytes;
    copy[at] = value;
    return copy;
  };
  expect_failure(folder / "nowhere.so", {"no plugin file", "tessera plugins list"});
  expect_failure("swisch", {"no plugin 'swisch'; did you mean 'swish'?", "TESSERA_PLUGIN_PATH"});
  expect_failure(folder.path().string() + "/.", {"it is no file"});
  const std::pair<std::string, std::vector<std::string>> cases[] = {
      {"", {"no shared library", "give the .so file"}},
      {"#!/bin/sh\necho I am no library\n", {"no shared library (no ELF header)"}},
      {bytes.substr(0, 40), {"cut short: it has 40 bytes"}},
      {bytes.substr(0, bytes.size() / 2), {"cut short", "copy or build the plugin again"}},
      {bytes.substr(0, bytes.size() - 1), {"cut short"}},
      {changed(EI_CLASS, ELFCLASS32), {"another architecture: not 64-bit", "build the plugin for"}},
      {changed(EI_DATA, ELFDATA2MSB), {"another architecture: another byte order"}},
      {changed(offsetof(Elf64_Ehdr, e_machine), EM_ARM), {"another architecture: 32-bit ARM", "build the plugin for"}},
      {changed(offsetof(Elf64_Ehdr, e_type), ET_REL), {"no shared library", "-shared"}},
      {changed(offsetof(Elf64_Ehdr, e_phoff) + 7, '\x7f'), {"cut short"}},
  };
  int number = 0;
  for (const auto& [content, says] : cases) {
    const std::string path = folder / ("file" + std::to_string(number++) + ".so");
    write(path, content);
    expect_failure(path, says);
  }
}

// Every byte of the header turned over: no crash, whatever the loader makes of it.
TEST(BadPlugin, a_damaged_header_is_no_reason_to_die) {
  const ScratchFolder folder;
  const std::string bytes = file_text(good());
  for (std::size_t at = 0; at < sizeof(Elf64_Ehdr); at += 3) {
    std::string copy = bytes;
    copy[at] = static_cast<char>(~copy[at]);
    const std::string path = folder / ("damaged" + std::to_string(at) + ".so");
    write(path, copy);
    const Ran r = tessera_cli({"plugins", "doctor", path});
    EXPECT_TRUE(r.code == 5 || r.code == 0) << at << ": " << r.code << r.err;
  }
}

TEST(BadPlugin, of_an_older_or_newer_abi) {
  const auto message = [](std::uint32_t theirs, std::uint32_t least, std::uint32_t ours) -> std::string {
    try {
      check_abi(theirs, least, ours);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::plugin);
      return e.what();
    }
    return {};
  };
  EXPECT_EQ(message(1, 0, 1), "");
  EXPECT_EQ(message(1, 0, 3), "");
  EXPECT_EQ(message(4, 2, 3), "");
  EXPECT_THAT(message(0, 0, 3), HasSubstr("too old: built for plugin ABI 0, a draft"));
  EXPECT_THAT(message(4, 0, 3), HasSubstr("too new: it needs plugin ABI 4, this Tessera has 3"));
  EXPECT_THAT(message(5, 4, 3), HasSubstr("too new: it needs plugin ABI 4"));
}

TEST(BadPlugin, that_takes_a_name_of_another) {
  const Ran r = tessera_cli({"plugins", "doctor", "swish", bad("taken_operator")});
  EXPECT_EQ(r.code, 5);
  EXPECT_THAT(r.out, HasSubstr("ok      swish"));
  EXPECT_THAT(r.out, HasSubstr("'com.example::Swish' is brought by plugin 'swish'"));
  EXPECT_THAT(r.out, HasSubstr("load only one of the two"));
}

TEST(BadPlugin, that_fails_its_own_examples) {
  const Ran r = tessera_cli({"plugins", "doctor", bad("wrong_example")});
  EXPECT_EQ(r.code, 5);
  EXPECT_THAT(r.out, HasSubstr("self-test failed: the table of constants is empty"));
  EXPECT_THAT(r.out, HasSubstr("output 0 has 2 at element 1, the example says 3"));
}

// A model of one node, with an input of 2 x 3 elements.
std::string one_node(const std::string& op, const std::string& domain) {
  return R"(ir_version: 8 opset_import { version: 17 } opset_import { domain: ")" + domain + R"(" version: 1 }
graph { node { name: "sick" op_type: ")" +
         op + R"(" domain: ")" + domain + R"(" input: "x" output: "y" } output { name: "y" }
  input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_value: 2 } dim { dim_value: 3 } } } } } })";
}

TEST(FaultyKernel, is_reported_with_plugin_and_node) {
  const ScratchFolder folder;
  const std::pair<const char*, const char*> cases[] = {
      {"Throws", "the sensor is off"},
      {"ThrowsInALoop", "chunk 50 is cursed"},
      {"WritesNan", "writes NaN to output 'Y' (element 1), although all inputs are finite"},
      {"WrongType", "a tensor of f32 is read as f64"},
      {"UnknownAttribute", "asks for 'alhpa', which is not in its table"},
      {"FailsInSilence", "its kernel returned 1 and did not say why"},
      {"LetsAnExceptionOut", "an exception escaped from its kernel: I escaped"},
      {"ChunkLetsAnExceptionOut", "an exception escaped from its kernel: out of a chunk"},
      {"Misplaced", "calls host->choose where that has no meaning"},
      {"IgnoresFailures", "the first failure counts"},
      {"TakesNoCount", "a list of integers without a place for their count"},
      {"CountsNan", "its FLOP rule says nan, which is no number of them"},
      {"TooLarge", "gives output 'Y' the shape [2305843009213693952]: "},
      {"NoOutput", "its shape rule sets no output 'Y'"},
      {"NegativeDim", "gives output 'Y' the shape [-2]"},
      {"Refuses", "X must be a matrix"},
      {"NotPointwise", "it calls itself pointwise, which makes it [2x3]"},
      {"SetsTooMany", "its shape rule sets output 1, it has 1"},
      {"SetsAnotherType", "says output 'Y' is f64, its table says f32"},
  };
  for (const auto& [op, says] : cases) {
    const std::string model = folder / (std::string(op) + ".textproto");
    write(model, one_node(op, "bad"));
    for (const char* threads : {"1", "2"}) {
      const Ran r = tessera_cli(
          {"run", model, "--plugin", bad("faulty_kernels"), "--input", "x=random:normal", "--threads", threads});
      EXPECT_EQ(r.code, 5) << op << r.err;
      EXPECT_THAT(r.err, HasSubstr(says)) << op;
      EXPECT_THAT(r.err, HasSubstr("in plugin 'faulty_kernels' (")) << op;
      EXPECT_THAT(r.err, HasSubstr("in node 'sick' (" + std::string(op) + ")")) << op;
    }
  }
}

TEST(FaultyKernel, without_a_gradient_says_so) {
  const ScratchFolder folder;
  const std::string model = folder / "m.textproto";
  write(model, one_node("NoGradient", "bad"));
  const Ran r = tessera_cli({"grad", model, "--plugin", bad("faulty_kernels"), "--input", "x=random:normal", "--loss",
                             "y", "--wrt", "x", "--dout", "random:normal"});
  EXPECT_EQ(r.code, 3) << r.err;
  EXPECT_THAT(r.err, HasSubstr("gradient of 'NoGradient' is not written"));
}

TEST(FaultyGradient, is_reported_with_plugin_and_node) {
  const ScratchFolder folder;
  const std::pair<const char*, const char*> cases[] = {
      {"AnotherShape", "gives input 0 a gradient of shape [1x6]; the input has [2x3]"},
      {"UnknownShape", "gives input 0 a gradient whose shape is known during the run only"},
      {"OneOperand", "asks for a 'Mul' that cannot be: "},
      {"NoSuchAxis", "asks for a 'Softmax' that cannot be: "},
      {"AbsentOperand", "computes with an absent value"},
      {"NoHandles", "grad_node is given no handles for 1 inputs"},
  };
  for (const auto& [op, says] : cases) {
    const std::string model = folder / (std::string(op) + ".textproto");
    write(model, one_node(op, "bad"));
    const Ran r = tessera_cli({"grad", model, "--plugin", bad("faulty_gradients"), "--input", "x=random:normal",
                               "--loss", "y", "--wrt", "x", "--dout", "random:normal"});
    EXPECT_EQ(r.code, 5) << op << r.err;
    EXPECT_THAT(r.err, HasSubstr(says)) << op;
    EXPECT_THAT(r.err, HasSubstr("in plugin 'faulty_gradients' (")) << op;
    EXPECT_THAT(r.err, HasSubstr("the gradient of node 'sick' (" + std::string(op) + ")")) << op;
  }
}

// q, k and v are one input: [1, 1, 6, 4], cut into 3 tiles of 2.
std::string one_attention(const std::string& method) {
  return R"(ir_version: 8 opset_import { version: 17 } opset_import { domain: "tessera.attention" version: 1 }
graph { node { name: "sick" op_type: ")" +
         method + R"(" domain: "tessera.attention" input: "x" input: "x" input: "x" output: "y"
    attribute { name: "grid" ints: 6 type: INTS } } output { name: "y" }
  input { name: "x" type { tensor_type { elem_type: 1
    shape { dim { dim_value: 1 } dim { dim_value: 1 } dim { dim_value: 6 } dim { dim_value: 4 } } } } } })";
}

TEST(FaultyMethod, is_reported_with_plugin_and_node) {
  const ScratchFolder folder;
  struct Case {
    const char *method, *says;
    int code = 5;
  };
  const Case cases[] = {
      {"forgets_a_query_tile", "its select forgets query tile 1"},
      {"chooses_a_tile_twice", "chooses key tile 1 twice for query tile 0"},
      {"chooses_beyond", "chooses key tile 99 for query tile 0; there are 3"},
      {"chooses_again", "chooses twice for query tile 0"},
      {"throws_in_select", "no idea which"},
      {"wider_than_said", "chooses 3 key tiles for query tile 0, its width says at most 2"},
      {"too_wide", "its width is 1000; there are 3 key tiles"},
      {"copies_a_copy", "the source 1, which is not computed itself"},
      {"full_without_tiles", "block_sparse needs tiles"},
      {"writes_nan", "writes NaN to Y, although all its operands are finite"},
      {"refuses_long_ones", "only sequences of 4 tokens", 2},
      {"asks_amiss", "asks for 'tilt', which is not in its table"},
      {"refuses_in_silence", "its check returned 7 and did not say why"},
      {"pairs_below_none", "its pairs are -1, which is no number of them"},
      {"lists_without_items", "there are 1 lists without their items"},
      {"struct_cut_short", "a tsr_attention_tensors of 3 bytes; it has at least 664"},
  };
  for (const auto& c : cases) {
    const std::string model = folder / (std::string(c.method) + ".textproto");
    write(model, one_attention(c.method));
    const Ran r = tessera_cli({"run", model, "--plugin", bad("faulty_methods"), "--input", "x=random:normal"});
    EXPECT_EQ(r.code, c.code) << c.method << r.err;
    EXPECT_THAT(r.err, HasSubstr(c.says)) << c.method;
    EXPECT_THAT(r.err, HasSubstr("in plugin 'faulty_methods' (")) << c.method;
    EXPECT_THAT(r.err, HasSubstr("in node 'sick' (" + std::string(c.method) + ")")) << c.method;
  }
}

TEST(MissingPlugin, is_named_by_a_model_that_needs_it) {
  const ScratchFolder folder;
  const std::string model = folder / "m.textproto";
  write(model, one_node("Swish", "com.example"));
  const Ran unknown = tessera_cli({"run", model, "--input", "x=zeros"});
  EXPECT_EQ(unknown.code, 3);
  EXPECT_THAT(unknown.err, HasSubstr("no operator 'Swish' in domain 'com.example'"));
  EXPECT_THAT(unknown.err, HasSubstr("--plugin NAME"));
  EXPECT_EQ(tessera_cli({"run", model, "--input", "x=zeros", "--plugin", "swish"}).code, 0);
  write(model, one_node("Swish", "com.example") +
                   R"(metadata_props { key: "tessera.plugin:com.example::Swish" value: "swish 1.0" })");
  const Ran saved = tessera_cli({"run", model, "--input", "x=zeros"});
  EXPECT_EQ(saved.code, 3);
  EXPECT_THAT(saved.err, HasSubstr("plugin 'swish 1.0' brings it: give it with --plugin swish"));
  const Ran wrong = tessera_cli({"run", model, "--input", "x=zeros", "--plugin", "clip_in_c"});
  EXPECT_EQ(wrong.code, 3);
}

}  // namespace
}  // namespace tessera
