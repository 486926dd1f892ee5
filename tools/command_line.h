#pragma once
// The command line: subcommands, and errors as exit codes. stdout carries results, stderr the rest.
#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace tessera {

class Error;

// What a subcommand does once its flags are read; gives the exit code.
using Action = std::function<int()>;

// Exit codes beside those of Code.
inline constexpr int exit_differ = 1, exit_require = 7;

// Each adds one subcommand, in the file of its name.
void add_run(CLI::App& app, Action& action);
void add_verify(CLI::App& app, Action& action);
void add_grad(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_explain(CLI::App& app, Action& action);
void add_compare(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_ops(CLI::App& app, Action& action);
void add_plugins(CLI::App& app, Action& action);
void add_generate(CLI::App& app, Action& action);

// Adds the frame "in model ...", which `load` has added to errors of its own.
Error& in_model(Error& e, const std::string& path);

// Prints `e` as every failure is printed and gives its exit code.
int report(const Error& e);

[[gnu::visibility("default")]] int run_command_line(int argc, const char* const* argv);

}  // namespace tessera
