#!/usr/bin/env python3
"""Follows the tutorial of plugins/README.md as a reader does: writes the project it ends with, in its own words.

usage: tutorial.py SOURCE_DIR FOLDER
In FOLDER: my_window.cpp, the method after its second step, which attends to everything; tile_window.cpp, the finished
one; CMakeLists.txt, which builds both; window.yaml and `use`, the policy and the commands that use it. Fails where a
step does not fit the one before, and where the finished method is not the one in the tree.
"""
import re
import sys
from pathlib import Path

source, folder = Path(sys.argv[1]), Path(sys.argv[2])
readme = (source / "plugins/README.md").read_text()


def blocks(language, count):
    found = re.findall(rf"^```{language}\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    assert len(found) == count, f"the tutorial has {len(found)} blocks of {language}, this follows {count}"
    return found


def replaced(text, old, new):
    assert text.count(old) == 1, f"'{old}' stands {text.count(old)} times in what the tutorial has built so far"
    return text.replace(old, new)


in_the_tree, outside = blocks("cmake", 2)
everything, select, parameter, check_and_width = blocks("cpp", 4)
[policy] = blocks("yaml", 1)
_, use = blocks("sh", 2)

check, width = check_and_width.split("\n\n")
function = re.search(r"^static void select_tiles.*?^\}\n", everything, re.DOTALL | re.MULTILINE).group()
finished = replaced(everything, function, f"{check}\n\n{select}\n{width}")
finished = replaced(finished, '.doc = "tokens"}};', f'.doc = "tokens"}},\n{parameter.rstrip()}}};')
select_line = re.search(r"^ *\.select = guard<select_tiles>", finished, re.MULTILINE).group()
field = select_line[:select_line.index(".")]
finished = replaced(finished, select_line, f"{field}.check = guard<check>,\n{select_line},\n{field}.width = guard<width>")

lines = (source / "plugins/tile_window/tile_window.cpp").read_text().splitlines()
assert finished.splitlines() == [l for l in lines if not l.startswith("//")], \
    "what the tutorial ends with is not plugins/tile_window/tile_window.cpp without its comments:\n" + finished

for name, text in {"my_window.cpp": everything, "tile_window.cpp": finished, "CMakeLists.txt": outside + in_the_tree,
                   "window.yaml": policy, "use": use}.items():
    (folder / name).write_text(text)
