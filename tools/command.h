#pragma once
// A subcommand of the command line and its flags: CLI11 in few words, and in one file, for it takes seconds to compile.
// Both are handles of what the parser owns. One thread.
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace tessera {

// What a subcommand does once its flags are read; gives the exit code.
using Action = std::function<int()>;

// A flag or an argument. Each call gives the option back, for the next.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}
  Option required();
  Option shows_default();                                 // in --help
  Option needs(Option other);                             // which must be given then
  Option excludes(std::initializer_list<Option> others);  // none of which may be given then
  Option split_at(char separator);                        // a value is several
  // `wrong` says what is wrong with a value; nothing: it will do.
  Option checked(std::function<std::string(const std::string&)> wrong);
  Option positive();  // a number that is

 private:
  CLI::Option* option_;
};

class Command {
 public:
  Command(CLI::App& app, Action& chosen) : app_(&app), chosen_(&chosen) {}
  Command subcommand(const std::string& name, const std::string& doc);  // one of them must be given
  void footer(const std::string& text);                                 // of --help

  // `name` is "--flag VALUE", with the word that --help shows for the value, or "ARGUMENT". A vector takes one value
  // each time its flag is given; as an argument, all that there are. A flag's value that is empty is refused.
  Option option(const std::string& name, std::string& to, const std::string& doc);
  Option option(const std::string& name, std::vector<std::string>& to, const std::string& doc);
  Option option(const std::string& name, int& to, const std::string& doc);
  Option option(const std::string& name, std::int64_t& to, const std::string& doc);
  Option option(const std::string& name, std::uint64_t& to, const std::string& doc);
  Option option(const std::string& name, double& to, const std::string& doc);
  Option option(const std::string& name, std::optional<double>& to, const std::string& doc);
  Option flag(const std::string& name, bool& to, const std::string& doc);
  void flag(const std::string& name, std::function<void()> given, const std::string& doc);

  void does(Action action);  // when this is the subcommand that was given

 private:
  CLI::App* app_;
  Action* chosen_;
};

}  // namespace tessera
