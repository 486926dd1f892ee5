#pragma once
// The flags that subcommands share, and what they mean to the layers below.
#include <optional>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"
#include "runtime/op/registry.h"
#include "runtime/pass/bind_shapes.h"
#include "runtime/pass/pass.h"
#include "runtime/policy/apply.h"
#include "runtime/session/session.h"
#include "tools/table.h"

namespace tessera {

class Command;
class Option;

// Of the model, in order: what flags call its inputs.
std::vector<std::string> input_names(const Graph& g);

// --shape NAME=1x3x8, --set SYMBOL=N
struct ShapeFlags {
  std::vector<std::string> shape, set;
  void add_to(Command& app);
  // Errors: bad_input for a malformed value or a name that `graph` does not have.
  Binding binding(const Graph& graph) const;
};

// --input NAME=FILE|random:..., --inputs DIR
struct InputFlags : ShapeFlags {
  std::vector<std::string> input;
  std::string inputs;
  void add_to(Command& app);
};

// --plugin NAME|LIB
struct PluginFlags {
  std::vector<std::string> plugin;
  void add_to(Command& app);
  // The built-in operators and those of the plugins, which are loaded now. Errors: plugin.
  Registry registry() const;
};

// --step i/n, --train-step N: where a run stands
struct StepFlags {
  std::string step;
  std::int64_t train_step = -1;
  void add_to(Command& app);
  StepPosition position() const;  // errors: bad_input
  // Says at which step a policy is looked at that has rules for steps, where no flag said so. Null: no policy.
  void remark_on(const Policy* policy) const;
};

// --policy FILE, and where the policy's run stands
struct PolicyFlags : StepFlags {
  std::string policy;
  Option add_to(Command& app);  // the option --policy
};

// --threads, --pass no-NAME, --deadline, --memory-limit, --plugin NAME|LIB
struct SessionFlags : PluginFlags {
  int threads = 0;
  std::vector<std::string> pass;
  std::optional<double> deadline;
  std::string memory_limit;
  void add_to(Command& app);
  void add_limits_to(Command& app);  // all but --threads
  SessionOptions options() const;
  PassOptions passes() const;
  Deadline deadline_from_now() const;
};

// --format, --quiet
struct ReportFlags {
  std::string format_name = "table";
  void add_to(Command& app, std::vector<std::string> formats = {"table", "md", "csv", "json"});
  Format format() const { return format_from_name(format_name); }
};

// --quiet
void add_quiet(Command& app);

// "NAME=VALUE", cut at the first '=': VALUE may hold more of them, NAME none. Errors: bad_input.
using Assignment = std::pair<std::string, std::string>;
Assignment split_assignment(const std::string& text, const std::string& flag);
// "NAME=..." for each; Error(bad_input) when a name comes twice, or a value where it is the value that must be unique.
std::vector<Assignment> assignments(const std::vector<std::string>& texts, const std::string& flag,
                                    std::string Assignment::*unique = &Assignment::first);

// "3/50". Errors: bad_input naming the flag.
std::pair<int, int> parse_step(const std::string& text, const std::string& flag);

// A whole non-negative number; for bytes also "512M", "2GiB" (powers of 1024). Errors: bad_input naming the flag.
std::int64_t parse_count(const std::string& text, const std::string& flag);
std::size_t parse_bytes(const std::string& text, const std::string& flag);

// What --threads may say. Errors: bad_input.
int checked_threads(std::int64_t n);

}  // namespace tessera
