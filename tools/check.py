#!/usr/bin/env python3
"""Checks the shape of the house: layers, library fences, sizes, words. Exits 1 with one line per fault; 77 outside a git
checkout, where nothing says which files are ours. tests/check_test.py breaks each rule once.

Rules (DESIGN: layers only look down; each library stays inside its fence; small files; plain names):
  layers   a file includes only from its own folder's layer number or lower, siblings of one number not at all
  fences   a library's headers appear only where listed
  names    a file that names something of the headers we precompile includes the header, or one of ours that does: such
           a build would not tell
  sizes    files <= 400 lines, functions <= 80 lines
  types    a type's full name is defined in one file: two of one name in a program are undefined behaviour, and no linker
           tells
  quotes   the code below "`PATH`, whole:" in a README is that file
  numbers  README.md counts as many operators as there are, and as many conformance cases that do not pass
  words    no macros, no conditional compilation, no vague names, no to-dos, headers open with a comment
"""
import functools
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Folder -> layer. The longest matching prefix counts.
LAYERS = {
    "runtime/base": 0, "plugins/sdk": 0,
    "runtime/tensor": 1,
    "runtime/op": 2,
    "runtime/graph": 3, "ops": 3,
    "runtime/load": 4, "runtime/pass": 4, "runtime/train": 4,
    "runtime/policy": 5,
    "runtime/plan": 6,
    "runtime/exec": 7,
    "runtime/session": 8,
    "tools": 9,
    "tests": 10,
}
# Header of a library -> where it may be included.
FENCES = {
    r"(oneapi/)?tbb/": ["runtime/op/parallel.cpp", "runtime/exec/", "tests/"],
    r"(oneapi/dnnl/|dnnl)": ["ops/linalg", "tests/"],
    r"Eigen/": ["ops/linalg", "tests/"],
    r"omp\.h": ["ops/linalg", "tests/"],
    r"(google/protobuf/|tessera/onnx\.pb\.h)": ["runtime/load/", "tests/"],
    r"yaml-cpp/": ["runtime/policy/parse", "tests/policy/"],
    r"CLI/": ["tools/command"],
    r"(nlohmann/|fmt/|png\.h|zlib\.h)": ["tools/", "tests/tools/"],
    r"(thread|stop_token|mutex|shared_mutex|condition_variable|semaphore|latch|barrier|future|execution)$": [
        "runtime/base/log.cpp", "runtime/op/scratch.cpp", "runtime/exec/", "runtime/session/", "tools/", "tests/"],
}
# Header -> what it brings. (Of <algorithm>, what no other header we include has.)
NAMES = {
    "algorithm": r"std::(ranges::)?(all_of|any_of|binary_search|clamp|copy_if|copy_n|count_if|equal|equal_range|fill|fill_n|"
                 r"find_if|is_sorted|lower_bound|max_element|min_element|minmax_element|mismatch|none_of|nth_element|"
                 r"partial_sort|reverse|rotate|sort|stable_sort|transform|unique|upper_bound)\(",
    "cmath": r"std::(ceil|cos|erf|exp|exp2|fabs|floor|fma|fmod|isfinite|isinf|isnan|ldexp|log|log1p|log2|nearbyint|nextafter|"
             r"pow|round|signbit|sin|sqrt|tanh|trunc)\(",
    "cstring": r"std::(memcmp|memcpy|memmove|memset|strcmp|strerror|strlen)\(",
    "filesystem": r"std::filesystem\b", "fstream": r"std::[io]fstream\b", "functional": r"std::function\b",
    "map": r"std::(multi)?map\b", "memory": r"std::((unique|shared|weak)_ptr|make_(unique|shared))\b",
    "optional": r"std::(optional|nullopt)\b", "random": r"std::(mt19937|\w+_distribution)\b", "span": r"std::span\b",
    "string": r"std::(string|to_string)\b", "string_view": r"std::string_view\b", "vector": r"std::vector\b",
    "fmt/format.h": r"\bfmt::", "gmock/gmock.h": r"\bEXPECT_THAT\(",
}
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', re.MULTILINE)
VAGUE = re.compile(r"(^|_)(util|utils|helper|helpers|common|misc|manager|handler|impl)(_|$)")
DEFINED = re.compile(r"(?:struct|class|enum class|enum|union) (\w+)(?: final)?(?: : [^;]*)? \{")
DEFINED_OPERATOR = re.compile(r"constinit const OpDef op_\w+[ =]")
CONDITIONALS_ALLOWED = {"ops/simd.h", "plugins/sdk/tessera/plugin.h"}
MAX_LINES, MAX_FUNCTION = 400, 80


def layer_of(path):
    best = max((p for p in LAYERS if path == p or path.startswith(p + "/")), key=len, default=None)
    return (best, LAYERS[best]) if best else (None, None)


def check_includes(path, text, fault):
    folder, layer = layer_of(path)
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'\s*#\s*include\s+[<"]([^>"]+)[>"]', line)
        if not found:
            continue
        header = found.group(1)
        for pattern, places in FENCES.items():
            if re.match(pattern, header) and not any(path.startswith(p) for p in places):
                fault(path, number, f"{header} may be included only in {', '.join(places)}")
        other, other_layer = layer_of(header)
        if layer is None or other is None or other == folder:
            continue
        if other_layer >= layer:
            fault(path, number, f"{header} (layer {other_layer}) is not below {folder} (layer {layer})")


def ours(header):
    """The file of this project that an #include names, or None."""
    return next((p for p in (ROOT / header, ROOT / "plugins/sdk" / header) if p.is_file()), None)


@functools.cache
def reached(path):
    """The headers of others that a file includes, itself or through ours."""
    found = set()
    for header in INCLUDE.findall(path.read_text()):
        found |= reached(ours(header)) if ours(header) else {header}
    return found


def check_names(path, text, fault):
    code = re.sub(r'//.*|"(?:\\.|[^"\\\n])*"', "", text)
    for header, names in NAMES.items():
        if (named := re.search(names, code)) and header not in reached(ROOT / path):
            fault(path, code[:named.start()].count("\n") + 1, f"{named.group().rstrip('(')} needs <{header}>")


def code_of(text):
    """Without comments, texts, attributes and what is the preprocessor's; lines keep their numbers."""
    left_out = r'^[ \t]*#[^\n]*|//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])+\'|\[\[[^\]]*\]\]'
    return re.sub(left_out, lambda found: "\n" * found.group().count("\n"), text, flags=re.DOTALL | re.MULTILINE)


def check_functions(path, text, fault):
    """A function is taken to be a pair of braces whose head closes a list of parameters and is no type nor value."""
    code, opened, head = code_of(text), [], 0
    for mark in re.finditer(r"[;{}]", code):
        if mark.group() == "{":
            words = code[head:mark.start()]
            named = ")" in words and words.count("(") == words.count(")") and not re.search(
                r"=\s*$|(^|[\s>])(class|struct|union|enum)\s", words)
            opened.append(head + len(words) - len(words.lstrip()) if named else None)
        elif mark.group() == "}" and opened and (start := opened.pop()) is not None:
            lines = code.count("\n", start, mark.start()) + 1
            if lines > MAX_FUNCTION:
                fault(path, code.count("\n", 0, start) + 1, f"function of {lines} lines; at most {MAX_FUNCTION}")
        head = mark.end()


def defined_types(text):
    """The full names of the types defined at namespace scope, unnamed namespaces left out, with their lines."""
    scope = []
    for number, line in enumerate(text.splitlines(), 1):
        if opened := re.match(r"namespace\s*(?:\[\[.*?\]\]\s*)?([\w:]*)\s*\{$", line):
            scope.append(opened.group(1))
        elif line.startswith("}  // namespace"):
            scope.pop()
        elif "" not in scope and (named := DEFINED.match(line)):
            yield "::".join([*scope, named.group(1)]), number


def check_quotes(path, text, fault):
    for quote in re.finditer(r"^`([^`]+)`, whole:\n\n```\w+\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        quoted = (ROOT / path).parent / quote.group(1)
        if not quoted.exists() or quoted.read_text() != quote.group(2):
            fault(path, text[:quote.start()].count("\n") + 1, f"the code below is not {quote.group(1)} as it stands")


def check_numbers(text, operators, fault):
    """`operators`: how many are defined."""
    def number(pattern):
        found = re.search(pattern, text)
        return int(found.group(1).replace(",", "")) if found else None

    counted = number(r"(\d+) operators, those that")
    if counted != operators:
        fault("README.md", 1, f"it counts {counted} operators; ops/ defines {operators}")
    cases, passing = number(r"Of the ([\d,]+) cases of the ONNX"), number(r"suite \(opset 17\) ([\d,]+) pass")
    missing = (ROOT / "tests/conformance/not_passing.tsv").read_text().splitlines()
    missing = sum(not line.startswith("#") for line in missing)
    if not cases or not passing or cases - passing != missing:
        fault("README.md", 1, f"of {cases} conformance cases it lets {passing} pass; not_passing.tsv has {missing}")


def check_words(path, text, fault):
    lines = text.splitlines()
    if VAGUE.search(Path(path).stem):
        fault(path, 1, "vague file name")
    for number, line in enumerate(lines, 1):
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
            fault(path, number, "a to-do; do it, or write a limit into the documentation")
        if path not in CONDITIONALS_ALLOWED and re.match(r"\s*#\s*(define|if|ifdef|ifndef|elif)\b", line):
            fault(path, number, "macros and conditional compilation are not used")
        named = re.match(r"\s*(?:class|struct|enum class)\s+(?:\[\[.*?\]\]\s*)?(\w+)", line)
        if named and VAGUE.search(re.sub(r"(?<!^)(?=[A-Z])", "_", named.group(1)).lower()):
            fault(path, number, f"vague name {named.group(1)}")
    if path.endswith((".h", ".hpp")) and path not in CONDITIONALS_ALLOWED:
        body = [l for l in lines if l.strip()]
        if len(body) < 2 or body[0] != "#pragma once" or not body[1].startswith("//"):
            fault(path, 1, "a header opens with #pragma once and a comment that says what it is")


def tracked(*patterns):
    """None at all where there is no git or no checkout."""
    try:
        found = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True).stdout
    except FileNotFoundError:
        found = ""
    return [path for path in found.split() if (ROOT / path).exists()]


def main():
    faults = []
    fault = lambda p, n, m: faults.append(f"{p}:{n}: {m}")
    files = tracked("*.h", "*.hpp", "*.cpp", "*.c")
    if not files:
        print(f"{ROOT} is no git checkout: nothing was checked")
        return 77
    total = operators = 0
    home = {}  # type -> the file that defines it
    for path in files:
        text = (ROOT / path).read_text()
        lines = text.splitlines()
        total += len(lines)
        operators += path.startswith("ops/") and bool(DEFINED_OPERATOR.search(text))
        if len(lines) > MAX_LINES:
            fault(path, len(lines), f"{len(lines)} lines; at most {MAX_LINES}")
        check_includes(path, text, fault)
        check_names(path, text, fault)
        check_functions(path, text, fault)
        for name, number in defined_types(text) if not path.endswith(".c") else ():
            if home.setdefault(name, path) != path:
                fault(path, number, f"{name} is defined in {home[name]} as well; give one of them another name")
        check_words(path, text, fault)
    for path in tracked("*.md"):
        check_quotes(path, (ROOT / path).read_text(), fault)
    check_numbers((ROOT / "README.md").read_text(), operators, fault)
    for line in faults:
        print(line)
    sizes = sorted(len((ROOT / p).read_text().splitlines()) for p in files)
    print(f"checked {len(files)} files, {total} lines, median {sizes[len(sizes) // 2]}, longest {sizes[-1]}: "
          f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
