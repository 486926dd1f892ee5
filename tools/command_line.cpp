#include "tools/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>

#include "runtime/base/aside_file.h"
#include "runtime/base/error.h"
#include "runtime/base/nearest.h"
#include "tools/command.h"
#include "tools/environment.h"
#include "tools/terminal.h"

namespace tessera {
namespace {

std::vector<std::string> subcommand_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(sub->get_name());
  return names;
}

std::vector<std::string> flag_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* o : app.get_options())
    for (const auto& long_name : o->get_lnames()) names.push_back("--" + long_name);
  return names;
}

// What is wrong with the arguments, in the words of this program where it knows better than the parser.
Error usage_error(const CLI::App& app, const CLI::ParseError& e) {
  const CLI::App* last = &app;
  std::string call = "tessera ";
  while (!last->get_subcommands().empty()) {
    last = last->get_subcommands()[0];
    call += last->get_name() + " ";
  }
  const CLI::App& sub = *last;
  const std::string help = "`" + call + "--help` lists what there is";
  for (const auto& word : app.remaining(true)) {
    if (word.size() > 1 && word[0] == '-') {
      const std::string flag = word.substr(0, word.find('='));
      const auto known = flag_names(sub);
      if (std::find(known.begin(), known.end(), flag) != known.end())
        return Error(Code::bad_input, concat("'", flag, "' must stand behind `", call.substr(0, call.size() - 1), "`"))
            .hint(help);
      return Error(Code::bad_input, concat("unknown flag '", flag, "'", did_you_mean(flag, known))).hint(help);
    }
    if (const auto names = subcommand_names(sub); !names.empty())
      return Error(Code::bad_input, concat("unknown subcommand '", word, "'", did_you_mean(word, names))).hint(help);
    return Error(Code::bad_input, concat("'", word, "' is one argument too many")).hint(help);
  }
  const std::string what = e.what();
  if (const auto at = what.find(": At Most 1 required"); at != std::string::npos)
    return Error(Code::bad_input, what.substr(0, at) + " is given twice and takes one value").hint(help);
  if (const std::string unread = "Could not convert: "; what.starts_with(unread))
    return Error(Code::bad_input, what.substr(unread.size()) + " is no number it takes").hint(help);
  return Error(Code::bad_input, what).hint(help);
}

int perform(CLI::App& app, const Action& action, int argc, const char* const* argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    print(app.help());
    return 0;
  } catch (const CLI::CallForVersion& e) {
    print(std::string(e.what()) + "\n");
    return 0;
  } catch (const CLI::ParseError& e) {
    throw usage_error(app, e);
  }
  return action();
}

// Ends as the signal would have, without files that are half written.
void end_by(int number) {
  unlink_aside_files();
  std::signal(number, SIG_DFL);
  std::raise(number);
}

// Results that did not reach stdout did not happen; a reader who has gone (`| head`) has seen enough.
int finish_output(int code) {
  const int error = flush_output();
  if (error == 0 || error == EPIPE) return code;
  return report(Error(Code::run_time, concat("cannot write to standard output: ", std::strerror(error))));
}

}  // namespace

Error& in_model(Error& e, const std::string& path) {
  const std::string frame = "model '" + path + "'";
  return std::string_view(e.what()).find("in " + frame) == std::string_view::npos ? e.in(frame) : e;
}

int report(const Error& e) {
  std::string text = concat("tessera: error: ", e.what(), "\n");
  if (e.code() == Code::internal)
    text += concat("  noticed at ", e.place().file, ":", e.place().line, "; this is a bug of ours\n");
  std::fputs(text.c_str(), stderr);
  return static_cast<int>(e.code());
}

int run_command_line(int argc, const char* const* argv) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a write past the limit fails, and says so
  for (const int number : {SIGINT, SIGTERM, SIGHUP})
    if (std::signal(number, end_by) == SIG_IGN) std::signal(number, SIG_IGN);  // as nohup asks
  CLI::App app("Tessera runs, trains and measures ONNX models.", "tessera");
  app.set_version_flag("--version", concat("tessera ", build_version, " for ", isa_name()));
  Action action;
  Command command(app, action);
  for (const auto add : {add_run, add_verify, add_grad, add_inspect, add_explain, add_compare, add_bench, add_ops,
                         add_plugins, add_generate})
    add(command);
  // Last, for subcommands take over the footer that they find.
  app.footer(
      "`tessera SUBCOMMAND --help` says what a subcommand takes. Exit codes: 0 done, 1 outputs differ, 2 bad input,\n"
      "3 unsupported, 4 policy, 5 plugin, 6 run-time (memory, disk, deadline), 7 a --require failed, 70 our bug.\n"
      "Environment: TESSERA_PLUGIN_PATH=DIR[:DIR...] where plugins are looked for, before the installed ones;\n"
      "TESSERA_GEMM=eigen multiplies matrices without oneDNN; TESSERA_LOG=info shows what plugins log");
  int code = static_cast<int>(Code::internal);
  try {
    code = perform(app, action, argc, argv);
  } catch (const Error& e) {
    code = report(e);
  } catch (const std::bad_alloc&) {
    code = report(Error(Code::run_time, "out of memory"));
  } catch (const std::exception& e) {
    code = report(Error(Code::internal, e.what()));
  }
  return finish_output(code);
}

}  // namespace tessera
