#pragma once
// The flags that subcommands share, and what they mean to the layers below.
#include <string>
#include <vector>

#include "runtime/graph/graph.h"
#include "runtime/op/registry.h"
#include "runtime/pass/bind_shapes.h"
#include "runtime/pass/pass.h"
#include "runtime/policy/apply.h"
#include "runtime/session/session.h"
#include "tools/table.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace tessera {

// --shape NAME=1x3x8, --set SYMBOL=N
struct ShapeFlags {
  std::vector<std::string> shape, set;
  void add_to(CLI::App& app);
  // Errors: bad_input for a malformed value or a name that `graph` does not have.
  Binding binding(const Graph& graph) const;
};

// --input NAME=FILE|random:..., --inputs DIR
struct InputFlags : ShapeFlags {
  std::vector<std::string> input;
  std::string inputs;
  void add_to(CLI::App& app);
  bool given() const { return !input.empty() || !inputs.empty(); }
};

// --plugin NAME|LIB
struct PluginFlags {
  std::vector<std::string> plugin;
  void add_to(CLI::App& app);
  // The built-in operators and those of the plugins, which are loaded now. Errors: plugin.
  Registry registry() const;
};

// --step i/n, --train-step N: where a run stands
struct StepFlags {
  std::string step;
  std::int64_t train_step = -1;
  void add_to(CLI::App& app);
  StepPosition position() const;  // errors: bad_input
  // Says at which step a policy is looked at that has rules for steps, where no flag said so. Null: no policy.
  void remark_on(const Policy* policy) const;
};

// --policy FILE, and where the policy's run stands
struct PolicyFlags : StepFlags {
  std::string policy;
  void add_to(CLI::App& app);
};

// --threads, --pass no-NAME, --deadline, --memory-limit, --plugin NAME|LIB
struct SessionFlags : PluginFlags {
  int threads = 0;
  std::vector<std::string> pass;
  double deadline = 0;
  std::string memory_limit;
  void add_to(CLI::App& app);
  void add_limits_to(CLI::App& app);  // all but --threads
  SessionOptions options() const;
  PassOptions passes() const;
  Deadline deadline_from_now() const;
};

// --format, --quiet
struct ReportFlags {
  std::string format_name = "table";
  void add_to(CLI::App& app, std::vector<std::string> formats = {"table", "md", "csv", "json"});
  Format format() const { return format_from_name(format_name); }
};

// --quiet
void add_quiet(CLI::App& app);

// An option that takes one value each time it is given, and may be given again.
CLI::Option* add_repeatable(CLI::App& app, const std::string& flag, std::vector<std::string>& to,
                            const std::string& doc, const std::string& value);

// "NAME=VALUE" at the last '=' of the text before VALUE... (names may hold '=' no more than files do). Errors:
// bad_input.
std::pair<std::string, std::string> split_assignment(const std::string& text, const std::string& flag);
// "NAME=..." for each; Error(bad_input) when a name comes twice.
std::vector<std::pair<std::string, std::string>> assignments(const std::vector<std::string>& texts,
                                                             const std::string& flag);

// "3/50". Errors: bad_input naming the flag.
std::pair<int, int> parse_step(const std::string& text, const std::string& flag);

// A whole non-negative number; "512M", "2G" (powers of 1024) for bytes. Errors: bad_input naming the flag.
std::int64_t parse_count(const std::string& text, const std::string& flag);
std::size_t parse_bytes(const std::string& text, const std::string& flag);

}  // namespace tessera
