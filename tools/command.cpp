#include "tools/command.h"

#include <CLI/CLI.hpp>
#include <cctype>
#include <type_traits>
#include <utility>

namespace tessera {
namespace {

// The parser takes 010 for 8.
std::string decimal(std::string n) {
  const std::size_t first = n.starts_with('-') ? 1 : 0;
  while (n.size() > first + 1 && n[first] == '0' && std::isdigit(static_cast<unsigned char>(n[first + 1])))
    n.erase(first, 1);
  return n;
}

template <class T>
CLI::Option* add(CLI::App& app, const std::string& name, T& to, const std::string& doc) {
  const auto space = name.find(' ');
  const std::string value = space == std::string::npos ? "" : name.substr(space + 1);
  CLI::Option* o = app.add_option(name.substr(0, space), to, doc)->type_name(value);
  if constexpr (std::is_integral_v<T>) o->transform(decimal);
  if (std::is_unsigned_v<T>) o->check([](const std::string& n) { return n.starts_with('-') ? "must be from 0" : ""; });
  // As from a variable of a script that is not set: to take it for no flag would do something else without a word.
  if (name.starts_with('-')) o->check([](const std::string& text) { return text.empty() ? "its value is empty" : ""; });
  return o;
}

}  // namespace

Option Option::required() { return Option(option_->required()); }
Option Option::shows_default() { return Option(option_->capture_default_str()); }
Option Option::needs(Option other) { return Option(option_->needs(other.option_)); }
Option Option::excludes(std::initializer_list<Option> others) {
  for (const Option other : others) option_->excludes(other.option_);
  return *this;
}
Option Option::split_at(char separator) { return Option(option_->delimiter(separator)); }
Option Option::checked(std::function<std::string(const std::string&)> wrong) {
  return Option(option_->check(std::move(wrong)));
}
Option Option::positive() {
  return checked([](const std::string& n) {
    return n == "0" || n.starts_with('-') ? "must be at least 1, got " + n : std::string();
  });
}

Command Command::subcommand(const std::string& name, const std::string& doc) {
  app_->require_subcommand(1);
  return Command(*app_->add_subcommand(name, doc), *chosen_);
}

void Command::footer(const std::string& text) { app_->footer(text); }

Option Command::option(const std::string& name, std::string& to, const std::string& doc) {
  return Option(add(*app_, name, to, doc));
}
Option Command::option(const std::string& name, std::vector<std::string>& to, const std::string& doc) {
  CLI::Option* o = add(*app_, name, to, doc);
  if (name.starts_with('-')) o->allow_extra_args(false)->expected(1)->take_all();
  return Option(o);
}
Option Command::option(const std::string& name, int& to, const std::string& doc) {
  return Option(add(*app_, name, to, doc));
}
Option Command::option(const std::string& name, std::int64_t& to, const std::string& doc) {
  return Option(add(*app_, name, to, doc));
}
Option Command::option(const std::string& name, std::uint64_t& to, const std::string& doc) {
  return Option(add(*app_, name, to, doc));
}
Option Command::option(const std::string& name, double& to, const std::string& doc) {
  return Option(add(*app_, name, to, doc));
}
Option Command::option(const std::string& name, std::optional<double>& to, const std::string& doc) {
  return Option(add(*app_, name, to, doc));
}
Option Command::flag(const std::string& name, bool& to, const std::string& doc) {
  return Option(app_->add_flag(name, to, doc));
}
void Command::flag(const std::string& name, std::function<void()> given, const std::string& doc) {
  app_->add_flag_callback(name, std::move(given), doc);
}

void Command::does(Action action) {
  app_->callback([chosen = chosen_, action = std::move(action)] { *chosen = action; });
}

}  // namespace tessera
