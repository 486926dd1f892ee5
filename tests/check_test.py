#!/usr/bin/env python3
"""tools/check.py sees each rule of the house broken, in a made-up checkout of a few files."""
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECK = Path(__file__).resolve().parent.parent / "tools/check.py"
README = "0 operators, those that are. Of the 1 cases of the ONNX suite (opset 17) 1 pass.\n"
LONG = "  ++x;\n" * 79  # and two lines around it


class Check(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.write("README.md", README)
        self.write("main.cpp", "")
        self.write("tests/conformance/not_passing.tsv", "# nothing\n")
        self.write("tools/check.py", CHECK.read_text())

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def said_of(self, path, text):
        """What is said when that file is there too."""
        self.write(path, text)
        for command in (["init", "-q"], ["add", "."]):
            subprocess.run(["git", "-C", self.root, *command], check=True)
        done = subprocess.run([sys.executable, self.root / "tools/check.py"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (int(": 0 faults" not in done.stdout), ""), done.stdout)
        return done.stdout

    def assert_fault(self, path, text, fault):
        self.assertIn(f"{path}:", said := self.said_of(path, text))
        self.assertIn(fault, said)
        (self.root / path).unlink()

    def test_layers(self):
        for path, header in (("runtime/base/x.cpp", "runtime/op/op.h"), ("runtime/pass/x.cpp", "runtime/load/load.h"),
                             ("tools/x.cpp", "tests/support/runner.h"), ("runtime/exec/x.cpp", "tools/table.h")):
            self.assert_fault(path, f'#include "{header}"\n', "is not below")
        self.assertIn(": 0 faults", self.said_of("tests/x.cpp", '#include "tools/table.h"\n'))

    def test_fences(self):
        for header in ("oneapi/tbb/task.h", "oneapi/dnnl/dnnl.hpp", "Eigen/Core", "omp.h", "google/protobuf/message.h",
                       "tessera/onnx.pb.h", "yaml-cpp/yaml.h", "CLI/CLI.hpp", "nlohmann/json.hpp", "thread", "mutex",
                       "condition_variable", "shared_mutex", "semaphore"):
            self.assert_fault("ops/math/x.cpp", f"#include <{header}>\n", f"{header} may be included only in")

    def test_names_need_their_header(self):
        self.assert_fault("ops/math/x.cpp", "std::vector<int> x;\n", "std::vector needs <vector>")

    def test_sizes(self):
        self.assert_fault("ops/math/x.cpp", "int x;\n" * 401, "401 lines; at most 400")
        for head in ("void f(int x) {\n", "std::vector<int> f(int x,\n    int y) {\n",
                     "struct S {\n  void f(int x) const override {\n", "X::X(int x)\n    : x_(x) {\n",
                     "template <class T>\nauto f(T x) -> T {\n"):
            end = "  }\n};\n" if head.startswith("struct") else "}\n"
            self.assert_fault("ops/math/x.cpp", "#include <vector>\n" + head + LONG + end, "lines; at most 80")
        for head in ("struct S : B<f(1)> {\n", "const int x[] = {\n", 'namespace [[gnu::visibility("")]] n {\n'):
            text = "// { (\nconst char c = '{';\n" + head + LONG + "};\n"
            self.assertIn(": 0 faults", self.said_of("ops/math/x.cpp", text))

    def test_types(self):
        self.write("ops/math/y.cpp", "namespace a {\nstruct X {\n};\n}  // namespace a\n")
        self.assert_fault("ops/math/z.cpp", (self.root / "ops/math/y.cpp").read_text(), "a::X is defined in ops/math/y.cpp")

    def test_quotes(self):
        self.write("x.cpp", "int x;\n")
        self.assert_fault("x.md", "`x.cpp`, whole:\n\n```cpp\nint y;\n```\n", "the code below is not x.cpp")

    def test_numbers(self):
        self.assert_fault("README.md", README.replace("0 operators", "1 operators"), "it counts 1 operators; ops/ defines 0")
        self.assert_fault("README.md", README.replace("17) 1", "17) 0"), "lets 0 pass; not_passing.tsv has 0")

    def test_words(self):
        for path, text, fault in (("ops/x_utils.h", "", "vague file name"), ("ops/x.cpp", "// TO" "DO\n", "a to-do"),
                                  ("ops/x.cpp", "#define X\n", "macros"), ("ops/x.cpp", "#if X\n#endif\n", "conditional"),
                                  ("ops/x.cpp", "class ThreadManager;\n", "vague name ThreadManager"),
                                  ("ops/x.h", "#pragma once\nint x;\n", "a header opens with")):
            self.assert_fault(path, text, fault)

    def test_outside_a_checkout_it_says_so(self):
        done = subprocess.run([sys.executable, self.root / "tools/check.py"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (77, ""))
        self.assertIn("is no git checkout", done.stdout)


if __name__ == "__main__":
    unittest.main(buffer=True)
