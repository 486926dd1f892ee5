// Names, flags and exit codes: what DESIGN's table of the runner promises.
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>

#include "tests/support/runner.h"
#include "tests/support/scratch_folder.h"

namespace tessera {
namespace {

std::set<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) found.insert((*it)[1]);
  return found;
}

std::set<std::string> flags_of(const std::vector<std::string>& subcommand) {
  auto words = subcommand;
  words.push_back("--help");
  const Ran r = tessera_cli(words);
  EXPECT_EQ(r.code, 0);
  EXPECT_EQ(r.err, "");
  auto flags = matches(r.out, "(?:^|\n) +(?:-.,)?(--[a-z-]+)");
  flags.erase("--help");
  return flags;
}

TEST(Help, lists_the_documented_subcommands) {
  const Ran r = tessera_cli({"--help"});
  EXPECT_EQ(r.code, 0);
  const std::string list = r.out.substr(r.out.find("Subcommands:"));
  EXPECT_EQ(matches(list, "\n  ([a-z]+) "), (std::set<std::string>{"run", "verify", "grad", "inspect", "explain",
                                                                   "compare", "bench", "ops", "plugins", "generate"}));
}

TEST(Help, lists_the_documented_flags) {
  const std::set<std::string> inputs = {"--input", "--inputs", "--shape", "--set"}, outputs = {"--output", "--save"};
  const std::set<std::string> limits = {"--pass", "--deadline", "--memory-limit", "--plugin"},
                              report = {"--format", "--quiet"}, policy = {"--policy", "--step", "--train-step"};
  const auto all = [](std::initializer_list<std::set<std::string>> sets) {
    std::set<std::string> merged;
    for (const auto& s : sets) merged.insert(s.begin(), s.end());
    return merged;
  };
  EXPECT_EQ(flags_of({"run"}),
            all({inputs,
                 outputs,
                 limits,
                 report,
                 policy,
                 {"--threads", "--repeat", "--steps", "--carry", "--collect", "--profile", "--trace", "--dump-node"}}));
  EXPECT_EQ(flags_of({"verify"}),
            all({limits, report, policy, {"--threads", "--rtol", "--atol", "--rel-max", "--save"}}));
  EXPECT_EQ(flags_of({"grad"}),
            all({inputs, outputs, limits, report, policy, {"--threads", "--loss", "--wrt", "--dout"}}));
  EXPECT_EQ(
      flags_of({"inspect"}),
      all({inputs, report, policy, {"--pass", "--after", "--why", "--passes", "--sites", "--plugin", "--save-model"}}));
  EXPECT_EQ(flags_of({"explain"}),
            all({inputs,
                 report,
                 policy,
                 {"--pass", "--plugin", "--lock", "--mask", "--head", "--batch", "--out", "--threads"}}));
  EXPECT_EQ(flags_of({"compare"}), all({inputs, limits, report, policy, {"--threads", "--repeat", "--plot"}}));
  EXPECT_EQ(flags_of({"bench"}),
            all({inputs, limits, report, policy, {"--threads", "--repeat", "--warmup", "--require"}}));
  EXPECT_EQ(flags_of({"ops"}), all({report, {"--check", "--plugin"}}));
  for (const char* what : {"list", "info", "doctor"}) EXPECT_EQ(flags_of({"plugins", what}), report);
  EXPECT_EQ(flags_of({"generate", "dit"}),
            (std::set<std::string>{"--layers", "--hidden", "--heads", "--ffn", "--grid", "--text", "--text-dim",
                                   "--channels", "--attention", "--seed", "--out", "--quiet"}));
}

struct Wrong {
  std::vector<std::string> arguments;
  int code;
  std::string says;
};

const std::string fixed = source_path("tests/data/models/classifier.textproto"),
                  open = source_path("tests/data/models/counter.textproto");

void expect_all(const std::vector<Wrong>& cases) {
  for (const auto& c : cases) {
    std::string line;
    for (const auto& a : c.arguments) line += a + " ";
    const Ran r = tessera_cli(c.arguments);
    EXPECT_EQ(r.code, c.code) << line << r.err;
    EXPECT_EQ(r.out, "") << line;
    EXPECT_TRUE(r.err.starts_with("tessera: error: ")) << line << r.err;
    EXPECT_NE(r.err.find(c.says), std::string::npos) << line << r.err;
  }
}

TEST(Usage, errors_of_runs_say_what_and_what_next) {
  expect_all({
      {{}, 2, "--help"},
      {{"rnu"}, 2, "unknown subcommand 'rnu'; did you mean 'run'?"},
      {{"run"}, 2, "MODEL"},
      {{"run", fixed, "--inptu", "x=1"}, 2, "unknown flag '--inptu'; did you mean '--input'"},
      {{"run", fixed, "more"}, 2, "'more' is one argument too many"},
      {{"--quiet", "run", fixed}, 2, "'--quiet' must stand behind `tessera run`"},
      {{"run", fixed, "--policy", ""}, 2, "--policy: its value is empty"},
      {{"compare", fixed, "--policy", ""}, 2, "--policy: its value is empty"},
      {{"run", fixed, "--train-step", ""}, 2, "--train-step: its value is empty"},
      {{"run", fixed, "--steps", "0"}, 2, "--steps: must be at least 1, got 0"},
      {{"run", fixed, "--step", "999999999999/9999999999999"}, 2, "n may be 1000000 at most"},
      {{"run", fixed, "--input", "image=zeros", "--trace", "x.onnx"}, 2, "must end in .json"},
      {{"run", fixed, "--input", "image=random:range:0,16777218"}, 2, "f32, which does not have 16777217"},
      {{"explain", fixed, "--policy", "p.json", "--lock", "p.onnx"}, 2, "must end in .json"},
      {{"explain", fixed, "--policy", "p.json", "--lock", "./p.json"}, 2, "another flag reads './p.json' too"},
      {{"run", fixed, "--threads", "1", "--threads", "2"}, 2, "--threads is given twice and takes one value"},
      {{"explain", fixed, "--policy", "p.yaml", "--head", "1"}, 2, "--head requires --mask"},
      {{"explain", fixed, "--policy", "p.yaml", "--mask", "s", "-o", "m.jpg"}, 2, "must end in .png"},
      {{"compare", fixed, "--policy", "p.yaml", "--plot", "p.png"}, 2, "must end in .svg"},
      {{"run", "nowhere.onnx"}, 2, "cannot open 'nowhere.onnx'"},
      {{"run", fixed}, 2, "input 'image' (f32 [2x4]) is not given"},
      {{"run", fixed, "--input", "imag=zeros"}, 2, "no input 'imag'; did you mean 'image'"},
      {{"run", fixed, "--input", "image=random:nromal"}, 2, "did you mean 'normal'"},
      {{"run", fixed, "--input", "image=x.txt"}, 2, ".npy, .npz or .pb"},
      {{"run", fixed, "--input", "image=zeros", "--shape", "image=2x5"}, 2, "image"},
      {{"run", fixed, "--input", "image=zeros", "--output", "logit=x.npy"}, 2, "did you mean 'logits'"},
      {{"run", fixed, "--input", "image=zeros", "--format", "yaml"}, 2, "no format 'yaml', only table|md|csv|json"},
      {{"run", fixed, "--input", "image=zeros", "--pass", "fold"}, 2, "no-fold"},
      {{"run", fixed, "--input", "image=zeros", "--carry", "a=b"}, 2, "--steps"},
      {{"run", fixed, "--input", "image=zeros", "--steps", "2", "--carry", "a=b", "--carry", "c=b"}, 2, "'b' is given"},
      {{"run", fixed, "--input", "image=zeros", "--step", "3/3"}, 2, "--step"},
      {{"run", open, "--input", "last=random:range:0,128"}, 2, "input 'past' (i64 [batchxlength]) is not given"},
      {{"run", fixed, "--input", "image=zeros", "--deadline", "1e-9"}, 6, "deadline"},
      {{"run", fixed, "--input", "image=zeros", "--memory-limit", "16"}, 6, "memory"},
      {{"run", fixed, "--input", "image=zeros", "--output", "logits=/nowhere/x.npy"}, 6, "/nowhere/x.npy"},
      {{"run", fixed, "--input", "image=zeros", "--output", "logits=two.npz", "--save", "./two.npz"},
       2,
       "--save: another flag writes to './two.npz' too"},
      {{"run", open, "--input", "last=zeros", "--input", "past=zeros"}, 2, "--set batch=N"},
      {{"run", open, "--input", "last=zeros", "--input", "past=zeros", "--set", "lenght=3"},
       2,
       "did you mean 'length'"},
      {{"run", open, "--input", "last=random:normal", "--input", "past=zeros", "--set", "length=3", "--set", "batch=1"},
       2,
       "random:range"},
      {{"run", open, "--input", "last=zeros", "--input", "past=zeros", "--set", "length=3", "--set", "batch=1",
        "--steps", "2", "--collect", "seen=x.npy", "--carry", "seen=past"},
       2,
       "changes its shape"},
      {{"run", fixed, "--input", "image=random:gauss"}, 2, "there is 'normal', 'uniform', 'zeros', 'range'"},
      {{"run", fixed, "--input", "image=zeros", "--output", "y=x.npy"}, 2, "no output 'y'; there is 'logits'"},
      {{"run", fixed, "--input", "image=zeros", "--carry", "logits=x", "--steps", "2"},
       2,
       "no input 'x'; there is 'im"},
      {{"run", fixed, "--input", "image=zeros", "--threads", "1x"}, 2, "--threads = 1x is no number"},
      {{"run", fixed, "--input", "image=zeros", "--threads", "1025"}, 2, "--threads must be from 0 to 1024, got 1025"},
      {{"bench", fixed, "--threads", "1025"}, 2, "--threads must be from 0 to 1024, got 1025"},
      {{"bench", fixed, "--threads", "1x"}, 2, "'1x' is no whole number"},
      {{"run", fixed, "--input", "image=zeros", "--memory-limit", "1q"}, 2, "write 4096, 512K, 64M, 2G or 1T"},
      {{"run", fixed, "--input", "image=zeros", "--deadline", "0"}, 2, "a positive number of seconds, got 0"},
      {{"verify", source_path("graphs/vit"), "--rtol", "-1"}, 2, "--rtol must not be negative, got -1"},
      {{"verify", source_path("graphs/vit"), "--atol", "nan"}, 2, "--atol must not be negative, got nan"},
  });
}

TEST(Usage, errors_of_other_subcommands_say_what_and_what_next) {
  expect_all({
      {{"verify", "/nowhere"}, 2, "/nowhere"},
      {{"plugins", "lst"}, 2, "unknown subcommand 'lst'; did you mean 'list'"},
      {{"plugins", "info", "vsa", "--format", "csv"}, 2, "no format 'csv'"},
      {{"ops", "Relu", "--format", "csv"}, 2, "only the list of all operators is one table"},
      {{"inspect", "--passes", "--format", "dot"}, 2, "--format dot draws a model"},
      {{"generate", "dit", "-o", "/tmp/never", "--layrs", "3"}, 2, "did you mean '--layers'"},
      {{"generate", "dit", "-o", "/tmp/never", "--seed", "-1"}, 2, "--seed: must be from 0"},
      {{"generate", "dit", "-o", "/tmp/never", "--text-dim", "-5"}, 2, "--text-dim: must be at least 1"},
      {{"generate", "dit", "-o", "/tmp/never", "--hidden", "010", "--heads", "3"}, 2, "--hidden 10 is not divisible"},
      {{"inspect", open}, 2, "--set"},
      {{"inspect", open, "--sites"}, 2, "--set"},
      {{"inspect", fixed, "--sites", "--after", "fold"}, 2, "--sites"},
      {{"inspect", fixed, "--after", "fsue"}, 2, "stage"},
      {{"inspect", fixed, "--save-model", "x.onnx"}, 2, "--after policy"},
      {{"inspect", fixed, "--after", "plan", "--save-model", "x.onnx"}, 2, "a stage before plan"},
      {{"verify", fixed, "--save", "x.npy"}, 2, "must end in .npz"},
      {{"inspect", fixed, "--why", "fuse_gleu"}, 2, "fuse_gelu"},
      {{"inspect", fixed, "--why", "nosuch"}, 2, "there is 'find_attention', "},
      {{"inspect", fixed, "--why", "fuse_gelu", "--sites"}, 2, "--why excludes --sites"},
      {{"inspect", fixed, "--why", "fuse_gelu", "--policy", "p.yaml"}, 2, "--why excludes --policy"},
      {{"inspect", fixed, "--passes"}, 2, "MODEL excludes --passes"},
      {{"inspect", fixed, "--why", "remove_dead"}, 2, "no near misses"},
      {{"ops", "Adn"}, 3, "did you mean"},
      {{"grad", fixed, "--loss", "logits", "--wrt", "image", "--input", "image=zeros"}, 2, "--dout"},
      {{"grad", fixed, "--loss", "nosuch", "--wrt", "image", "--input", "image=zeros"}, 2, "there is 'image', 'W', "},
      {{"bench", fixed, "--require", "ratio<1"}, 2, "nothing to compare"},
      {{"bench", fixed, "--require", "foo<1"}, 2, "there is 'ratio', 'median_s', 'min_s', 'p90_s', 'gflops', 'peak"},
      {{"generate", "dit", "-o", "/tmp/never", "--hidden", "96", "--heads", "5"}, 2, "not divisible"},
      {{"generate", "dit", "-o", "/tmp/never", "--hidden", "9", "--heads", "3"}, 2, "must be even"},
      {{"generate", "dit", "-o", "/proc/never"}, 6, "/proc/never"},
  });
}

TEST(Usage, a_model_that_is_refused_leaves_no_folder) {
  const ScratchFolder folder;
  EXPECT_EQ(tessera_cli({"generate", "dit", "-o", folder / "never", "--hidden", "9", "--heads", "3"}).code, 2);
  EXPECT_FALSE(std::filesystem::exists(folder / "never"));
}

TEST(Help, names_what_it_reads_from_the_environment) {
  const Ran r = tessera_cli({"--help"});
  EXPECT_EQ(matches(r.out, "(TESSERA_[A-Z_]+)"),
            (std::set<std::string>{"TESSERA_GEMM", "TESSERA_LOG", "TESSERA_PLUGIN_PATH"}));
}

TEST(Environment, that_says_nothing_known_is_refused) {
  const Ran r = tessera_cli({"verify", source_path("graphs/vit")}, {"TESSERA_GEMM=mkl"});
  EXPECT_EQ(r.code, 2);
  EXPECT_NE(r.err.find("TESSERA_GEMM is 'mkl'; 'eigen'"), std::string::npos) << r.err;
}

TEST(Passes, that_cannot_be_turned_off_are_marked) {
  EXPECT_EQ(matches(tessera_cli({"inspect", "--passes"}).out, "(?:^|\n)(\\w+) \\(always on\\)"),
            std::set<std::string>{"fold_constants"});
  EXPECT_EQ(tessera_cli({"inspect", fixed, "--pass", "no-fold_constants"}).code, 2);
}

TEST(Plugins, say_which_folders_are_missing) {
  const std::vector<std::string> path = {"TESSERA_PLUGIN_PATH=/nowhere:/"};
  for (const char* what : {"list", "doctor"})
    EXPECT_EQ(tessera_cli({"plugins", what}, path).err,
              "tessera: TESSERA_PLUGIN_PATH: there is no folder '/nowhere'\n");
  const Ran r = tessera_cli({"ops", "--plugin", "nosuch"}, path);
  EXPECT_EQ(r.code, 5);
  EXPECT_NE(r.err.find("there is no folder '/nowhere'"), std::string::npos) << r.err;
}

TEST(Ops, lists_and_shows) {
  EXPECT_NE(tessera_cli({"ops"}).out.find("LayerNormalization"), std::string::npos);
  const Ran one = tessera_cli({"ops", "Relu"});
  EXPECT_EQ(one.code, 0);
  for (const char* part : {"source", "inputs", "types", "examples"})
    EXPECT_NE(one.out.find(part), std::string::npos) << part;
}

TEST(Locale, never_shows) {
  const Ran plain = tessera_cli({"ops", "LayerNormalization"}),
            german = tessera_cli({"ops", "LayerNormalization"}, {"LC_ALL=de_DE.UTF-8"});
  EXPECT_EQ(plain.out, german.out);
}

}  // namespace
}  // namespace tessera
