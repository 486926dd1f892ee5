#include "tools/npy.h"

#include <gtest/gtest.h>

#include <fstream>

#include "runtime/tensor/text.h"
#include "tests/support/runner.h"
#include "tests/support/scratch_folder.h"
#include "tools/npz.h"
#include "tools/tensor_files.h"

namespace tessera {
namespace {

std::string stored(const std::string& file) {
  return to_text(read_tensor(source_path("tests/data/numpy/" + file), ""));
}

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string npy(const std::string& dict, const std::string& elements, int version = 1) {
  std::string file("\x93NUMPY", 6);
  file += static_cast<char>(version);
  file += '\0';
  file += static_cast<char>(dict.size());
  file += '\0';
  if (version > 1) file += std::string(2, '\0');
  return file + dict + elements;
}

Code code_of(const std::string& file) {
  try {
    npy_to_tensor(bytes(file));
  } catch (const Error& e) {
    return e.code();
  }
  return Code::internal;
}

TEST(Npy, reads_what_numpy_wrote) {
  EXPECT_EQ(stored("c_order.npy"), "f32{{0, 1, 2}, {3, 4, 5}}");
  EXPECT_EQ(stored("fortran.npy"), "f64{{0, 1, 2}, {3, 4, 5}}");
  EXPECT_EQ(stored("big_endian.npy"), "i32{{0, 1, 2}, {3, 4, 5}}");
  EXPECT_EQ(stored("scalar.npy"), "f16 1.5");
  EXPECT_EQ(stored("empty.npy"), "i64[0x3]{}");
  EXPECT_EQ(stored("version2.npy"), "bool{true, false}");
}

TEST(Npy, never_unpickles_objects) {
  try {
    stored("objects.npy");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::unsupported);
    EXPECT_NE(e.message().find("pickled"), std::string::npos);
  }
}

TEST(Npy, refuses_malformed_headers) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n";
  EXPECT_EQ(to_text(npy_to_tensor(bytes(npy(good, std::string(4, '\0'))))), "f32{0}");
  for (const std::string& dict : {
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': 1}"),
           std::string("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}"),
           std::string("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}"),
           std::string("{'descr': '<f4', 'fortran_order': False}"),
           std::string("{'descr': '', 'fortran_order': False, 'shape': (1,)}"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}"),
           std::string("{'descr': '<f4"),
           std::string("("),
           std::string(),
       })
    EXPECT_EQ(code_of(npy(dict, std::string(4, '\0'))), Code::bad_input) << dict;
  for (const char* descr : {"'|O'", "'<U3'", "'|S1'", "'<c8'", "'<f16'", "[('a', '<f4')]"})
    EXPECT_EQ(code_of(npy(concat("{'descr': ", descr, ", 'fortran_order': False, 'shape': (1,)}"), "abcd")),
              Code::unsupported)
        << descr;
}

TEST(Npy, refuses_files_cut_anywhere) {
  const std::string whole = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", std::string(8, '\1'), 2);
  for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_EQ(code_of(whole.substr(0, n)), Code::bad_input) << n;
  EXPECT_EQ(code_of(whole + "x"), Code::bad_input);
}

TEST(Npy, writes_what_it_reads) {
  const ScratchFolder folder;
  for (const char* text :
       {"{{1, 2}, {3, 4}}", "f64 0.5", "i64{-1, 2}", "bool{true, false}", "f16{1, inf}", "u8[0x2]{}"}) {
    const Tensor t = tensor_from_text(text);
    write_tensor(folder / "t.npy", "t", t);
    EXPECT_TRUE(same_bits(read_tensor(folder / "t.npy", "t"), t)) << text;
  }
  EXPECT_THROW(check_format("x.npy", {DType::bf16}), Error);
  EXPECT_NO_THROW(check_format("x.pb", {DType::bf16}));
  EXPECT_THROW(check_format("x.txt", {DType::f32}), Error);
}

TEST(Npz, reads_what_numpy_wrote) {
  for (const char* file : {"stored.npz", "deflated.npz"}) {
    auto arrays = read_npz(source_path(std::string("tests/data/numpy/") + file));
    EXPECT_EQ(arrays.size(), 5u);
    EXPECT_EQ(to_text(arrays["f32"]), "f32{{0, 1, 2}, {3, 4, 5}}");
    EXPECT_EQ(to_text(arrays["mask"]), "bool{{false, false, false}, {true, true, true}}");
    EXPECT_EQ(to_text(arrays["u8"]), "u8 7");
    EXPECT_EQ(arrays["a/b"].size(), 1000);
  }
}

TEST(Npz, reads_one_array_whatever_the_others_are) {
  const ScratchFolder folder;
  write_npz(folder / "t.npz", {{"bad", tensor_from_text("f64{1}")}, {"x", tensor_from_text("{1, 2}")}});
  std::string bytes = file_text(folder / "t.npz");
  bytes.replace(bytes.find("<f8"), 3, "|O0");
  folder.write("t.npz", bytes);
  EXPECT_THROW(read_npz(folder / "t.npz"), Error);
  EXPECT_EQ(to_text(read_tensor(folder / "t.npz", "x")), "f32{1, 2}");
  EXPECT_THROW(read_tensor(folder / "t.npz", "y"), Error);
}

TEST(Npz, writes_what_it_reads) {
  const ScratchFolder folder;
  const std::map<std::string, Tensor> arrays = {{"x", tensor_from_text("{1, 2}")},
                                                {"block/y", tensor_from_text("i64[0]{}")}};
  write_npz(folder / "t.npz", arrays);
  const auto back = read_npz(folder / "t.npz");
  ASSERT_EQ(back.size(), 2u);
  for (const auto& [name, tensor] : arrays) EXPECT_TRUE(same_bits(back.at(name), tensor)) << name;
}

// No byte of an archive may be lost or changed without an error, or without the arrays staying what they were.
TEST(Npz, survives_damage) {
  const ScratchFolder folder;
  const auto path = source_path("tests/data/numpy/deflated.npz");
  const std::string whole = file_text(path);
  const auto original = read_npz(path);
  const auto damaged = [&](const std::string& text) {
    { std::ofstream(folder / "t.npz", std::ios::binary) << text; }
    try {
      read_npz(folder / "t.npz");
    } catch (const Error& e) {
      EXPECT_TRUE(e.code() == Code::bad_input || e.code() == Code::unsupported) << e.what();
    }
  };
  for (std::size_t n = 0; n < whole.size(); n += 3) damaged(whole.substr(0, n));
  for (std::size_t n = 0; n < whole.size(); ++n) {
    std::string text = whole;
    text[n] = static_cast<char>(text[n] ^ 0x55);
    damaged(text);
  }
}

}  // namespace
}  // namespace tessera
