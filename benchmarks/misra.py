"""MISRA C:2012, mandatory and required rules, on our own C by cppcheck's addon: where it deviates, and why.

    python benchmarks/misra.py

Checks templates/runtime and an emitted network with two early exits, a stage, CRC and guards; writes
docs/misra-deviations.md. Ten seconds. Exit code 1 where a rule is broken that has no reason here, 2 where cppcheck is
missing: apt-get install -y --no-install-recommends cppcheck.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # A script's own folder comes first on its path; the checkout and the networks of its tests are meant.
    sys.path[0] = str(ROOT)
    sys.path.insert(1, str(ROOT / "tests"))

from support.exits import residual_network
from support.placed import MODES, placed

from ptee_mcu.emit import emit

PAGE = ROOT / "docs" / "misra-deviations.md"
EMITTED = "NAME.c"
_RUNTIME = ROOT / "templates" / "runtime"
# Source: MISRA C:2012, first revision, appendix A: numbers of advisory rules, which nobody asks for here.
_ADVISORY = re.compile(
    r"1\.2|2\.[3-7]|4\.2|5\.9|8\.(?:7|9|11|13)|10\.5|11\.[45]|12\.[134]|13\.[34]|15\.[145]"
    r"|17\.[58]|18\.[45]|19\.2|20\.[15]"
)
_FOUND = re.compile(r"^misra-c2012-(\d+\.\d+)\|([^|]+)\|(\d+)$", re.MULTILINE)
# The compiler's own, as the addon must know them; and every optional part.
_DEFINES = ("UINT32_C(x)=x##u", "INT64_C(x)=x##ll", "__GNUC__=12", "__arm__=1", "__ELF__=1", "PTEE_GUARD=1")

REASONS: Mapping[str, str] = {
    "1.4": "_Generic chooses between the signatures of two CMSIS-NN releases when compiling; without it there would be "
    "two texts ([decision 4](decisions/0004-one-text-for-all-cmsis-nn-releases.md))",
    "2.2": "offsets of 0 in arena and stage are written out, and PTEE_TRACE_OP is empty unless defined",
    "9.3": "the addon takes an array whose length follows from its initializer for a partly initialised one",
    "10.1": "shifts of signed numbers are those of the arithmetic contract: compilers for Arm shift arithmetically, "
    "and differential tests hold the bytes equal to CMSIS-NN's",
    "10.3": "the addon takes the step of a pointer for a number of the type that it points to",
    "10.4": "constants of the header are plain decimal, because the preprocessor and C++ read them too: all are small "
    "and not negative, and GCC's -Wconversion finds no value that changes",
    "10.8": "a sum or product of small numbers is converted afterwards: the operands' ranges, proven when the network "
    "was compiled, leave nothing to lose",
    "11.6": "addresses are kept as numbers in the seal of a context, which is compared and never made a pointer again",
    "12.2": "the addon takes the width of a constant from its value; UINT32_C makes it 32 bits wide",
}


def deviations(folder: Path) -> Counter[tuple[str, str]]:
    """How often which required or mandatory rule is broken in which file; `folder` gets the C that is checked.

    Raises:
        FileNotFoundError: where cppcheck is not installed.
        RuntimeError: where it fails; the message is what it said.
    """
    if shutil.which("cppcheck") is None:
        raise FileNotFoundError("cppcheck")
    plan = placed(residual_network(), MODES["mixed"])
    files = emit(plan, crc=True).files
    own = {path: text for path, text in files.items() if path.endswith((".c", ".h")) and "/" not in path}
    for path, text in own.items():
        (folder / path).write_text(str(text), encoding="utf-8")
    for source in sorted(_RUNTIME.glob("*.[ch]")):
        shutil.copy(source, folder)
    command = ["cppcheck", "--addon=misra", "--std=c11", "-q", "-I.", "--suppress=missingIncludeSystem"]
    command += ["--template={id}|{file}|{line}", *(f"-D{define}" for define in _DEFINES)]
    names = sorted(path.name for path in folder.glob("*.c") if not path.name.endswith("_weights.c"))
    done = subprocess.run([*command, *names], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    found: Counter[tuple[str, str]] = Counter()
    # A header is read once per file that includes it.
    for rule, file, _ in sorted(set(_FOUND.findall(done.stderr))):
        if not _ADVISORY.fullmatch(rule):
            found[rule, file.replace(plan.graph.name, "NAME")] += 1
    return found


def page(found: Counter[tuple[str, str]]) -> str:
    """docs/misra-deviations.md."""
    rules = sorted({rule for rule, _ in found}, key=lambda rule: [int(part) for part in rule.split(".")])
    lines = [_INTRODUCTION]
    for rule in rules:
        where = ", ".join(f"{file} ({count})" for (of, file), count in sorted(found.items()) if of == rule)
        lines.append(f"| {rule} | {where} | {REASONS[rule]} |\n")
    return "".join(lines)


_INTRODUCTION = """\
# MISRA C:2012: deviations

Made by `python benchmarks/misra.py`: cppcheck's misra addon over templates/runtime and an emitted network with exits, a
stage, CRC and guards. Mandatory and required rules only; texts of rules are copyrighted and left out. Every rule that
is not listed has no finding; in brackets the number of places. CMSIS-NN is Arm's and is not checked. A test compares
rules and files with this page wherever cppcheck is installed. This is a list of findings, not a claim of compliance:
the addon does not check every rule, nor directives.

| rule | where | why |
| --- | --- | --- |
"""


def main() -> int:
    """Checks, writes the page and returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="ptee-misra-") as scratch:
        try:
            found = deviations(Path(scratch))
        except FileNotFoundError:
            print("cppcheck is missing: apt-get install -y --no-install-recommends cppcheck", file=sys.stderr)
            return 2
    if unexplained := sorted({f"{rule} in {file}" for rule, file in found if rule not in REASONS}):
        print(f"no reason for {', '.join(unexplained)}", file=sys.stderr)
        return 1
    PAGE.write_text(page(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
