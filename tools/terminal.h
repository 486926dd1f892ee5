#pragma once
// What a subcommand says besides errors: results on stdout, remarks on stderr. --quiet silences all of it, with the
// library's warnings and progress bars; results stay where --format asks for them. One thread.
#include <string>

namespace tessera {

void print(const std::string& text);          // a result
void print_failure(const std::string& text);  // a result that is an error: where results are silent it goes to stderr
void remark(const std::string& line);         // "tessera: LINE"
int flush_output();                           // 0, or errno of the first write to stdout that failed

void want_quiet();
void want_results();  // --quiet leaves them
bool quiet();
bool prints_results();

}  // namespace tessera
