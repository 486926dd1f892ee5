#pragma once
// Results as text: aligned for people, Markdown, CSV; numbers in few, honest digits. Never depends on the locale.
#include <cstdint>
#include <string>
#include <vector>

namespace tessera {

enum class Format { table, md, csv, json, dot };
Format format_from_name(const std::string& name);

// Columns are aligned to the left for words and to the right for numbers, by their first cell.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};
// Control characters in cells of the aligned form and of Markdown become blanks.
// `indent` spaces before each line of the aligned form. JSON and dot have forms of their own and are not printed here.
std::string render(const Table& table, Format format, int indent = 0);

std::string with_commas(std::int64_t n);                             // 1,234,567
std::string readable_bytes(double bytes);                            // 1.2 MB (powers of 1000)
std::string readable_time(double seconds);                           // 12.3 ms
std::string readable_count(double n, const std::string& unit = "");  // 3.4 G
std::string readable_number(double x);                               // 5 significant digits: -0.012345, 1.5e-09, nan

}  // namespace tessera
