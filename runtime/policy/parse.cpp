// The file as a whole: text -> YAML -> Policy.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/parser.h>

#include "runtime/policy/keys.h"
#include "runtime/policy/parse_node.h"

namespace tessera {
namespace {

constexpr std::size_t longest = 1 << 20;  // bytes; a policy is written by hand

// What YAML says in many ways, or not at all, said plainly.
void check_characters(const std::string& text, const std::string& path) {
  check(text.size() <= longest, Code::policy, path, ": ", text.size(), " bytes; a policy has at most ", longest);
  int line = 1;
  bool indentation = true;
  for (std::size_t i = 0, begin = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const PolicyPlace at{line, static_cast<int>(i - begin) + 1};
    if (c == '\t' && indentation) policy_error(path, at, "a tab in the indentation; YAML takes spaces only");
    if (c < 0x20 && c != '\t' && c != '\n' && c != '\r') policy_error(path, at, "a control character; is this text?");
    indentation = c == '\n' || (indentation && c == ' ');
    if (c == '\n') {
      ++line;
      begin = i + 1;
    }
  }
}

// Where the documents of a file begin.
class DocumentStarts : public YAML::EventHandler {
 public:
  std::vector<YAML::Mark> marks;
  void OnDocumentStart(const YAML::Mark& mark) override { marks.push_back(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// Not YAML::LoadAll: at a bracket that closes nothing it reads empty documents without end.
YAML::Node document(const std::string& text, const std::string& path) {
  try {
    const YAML::Node node = YAML::Load(text);
    check(node.IsDefined() && !node.IsNull(), Code::policy, path,
          ":1:1: the file is empty; the smallest policy is 'version: 1'");
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    DocumentStarts starts;
    while (starts.marks.size() < 2 && parser.HandleNextDocument(starts)) continue;
    if (starts.marks.size() > 1)
      policy_error(path, {starts.marks[1].line + 1, starts.marks[1].column + 1},
                   "the document has ended before this; a policy is one document");
    return node;
  } catch (const YAML::DeepRecursion& e) {
    policy_error(path, {e.mark.line + 1, e.mark.column + 1}, "nested too deeply");
  } catch (const YAML::Exception& e) {
    policy_error(path, {e.mark.line + 1, e.mark.column + 1}, e.msg);
  }
}

void parse_entry(const PolicyNode::Entry& e, Policy& policy) {
  if (e.name == "version") {
    const auto version = e.value.integer(0, std::numeric_limits<std::int64_t>::max());
    if (version != 1) e.value.fail("version ", version, " of the policy language is not known; this reads version 1");
  } else if (e.name == "plugins") {
    for (const auto& item : e.value.items()) policy.plugins.push_back({item.text(), item.at()});
  } else if (e.name == "grid") {
    policy.grid = parse_grid(e.value);
  } else if (e.name == "default") {
    policy.method = e.value.text();
    policy.method_at = e.value.at();
  } else if (e.name == "rules") {
    for (const auto& item : e.value.items()) policy.rules.push_back(parse_rule(item));
  } else if (e.name == "linear") {
    for (const auto& item : e.value.items()) policy.linear.push_back(parse_linear(item));
  } else {
    policy.lock = parse_lock(e.value);
  }
}

}  // namespace

Policy parse_policy(const std::string& text, const std::string& path) {
  check_characters(text, path);
  const PolicyNode file(path, document(text, path), "the policy");
  Policy policy;
  policy.path = path;
  const auto entries = file.entries(policy_keys::file);
  const auto is_version = [](const auto& e) { return e.name == "version"; };
  if (std::none_of(entries.begin(), entries.end(), is_version))
    file.fail("the key 'version' is missing; write 'version: 1'");
  for (const auto& e : entries) parse_entry(e, policy);
  return policy;
}

Policy read_policy(const std::string& path) {
  std::error_code error;
  const bool folder = std::filesystem::is_directory(path, error);
  check(!folder, Code::policy, "policy '", path, "' is a folder");
  std::ifstream file(path, std::ios::binary);
  check(file.is_open(), Code::policy, "cannot open policy '", path, "'");
  std::string text(longest + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  check(!file.bad(), Code::policy, "cannot read policy '", path, "'");
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  return parse_policy(text, path);
}

}  // namespace tessera
