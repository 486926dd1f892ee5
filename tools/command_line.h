#pragma once
// The command line: subcommands, and errors as exit codes. stdout carries results, stderr the rest.
#include <string>

namespace tessera {

class Command;
class Error;

// Exit codes beside those of Code.
inline constexpr int exit_differ = 1, exit_require = 7;

// Each adds one subcommand, in the file of its name.
void add_run(Command& app);
void add_verify(Command& app);
void add_grad(Command& app);
void add_inspect(Command& app);
void add_explain(Command& app);
void add_compare(Command& app);
void add_bench(Command& app);
void add_ops(Command& app);
void add_plugins(Command& app);
void add_generate(Command& app);

// Adds the frame "in model ...", which `load` has added to errors of its own.
Error& in_model(Error& e, const std::string& path);

// Prints `e` as every failure is printed and gives its exit code.
int report(const Error& e);

[[gnu::visibility("default")]] int run_command_line(int argc, const char* const* argv);

}  // namespace tessera
