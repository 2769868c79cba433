"""The host build of the run-time library that the tests of this folder share."""

import os

import pytest
from runtime import descriptors
from runtime.native import (
    RUNTIME,
    WARNINGS,
    Runtime,
    cmsis_nn_sources,
    compile_each,
    include_options,
    run,
    runtime_sources,
    tool,
)

# What only the preprocessor and the header know, made callable.
_SHIM = """
#include "ptee_runtime.h"
#include <string.h>
bool status_failed(int status);
uint32_t size_of_descriptor(const char *name);
bool status_failed(int status) {{ return ptee_failed((ptee_status)status); }}
uint32_t size_of_descriptor(const char *name)
{{
{sizes}
    return 0;
}}
"""


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """The library with UndefinedBehaviorSanitizer on our own files, and what SANITIZE_RUNTIME names besides."""
    folder = tmp_path_factory.mktemp("runtime")
    gcc = tool("gcc")
    includes = include_options(folder)
    sanitizers = ["undefined", *filter(None, [os.environ.get("SANITIZE_RUNTIME")])]
    sanitize = ["-fsanitize=" + ",".join(sanitizers), "-fno-sanitize-recover=all"]
    address = [option for option in sanitize if "address" in option]
    shim = folder / "shim.c"
    sizes = "\n".join(f'    if (!strcmp(name, "{d.c_name}")) return sizeof({d.c_name});' for d in descriptors.ALL)
    shim.write_text(_SHIM.format(sizes=sizes))
    common = [gcc, "-O2", "-g", "-fPIC", *includes]
    objects = [
        *compile_each([*common, *WARNINGS, *sanitize, f"-I{RUNTIME}"], [*runtime_sources(), shim], folder),
        *compile_each([*common, "-w", *(["-fsanitize=address"] if address else [])], cmsis_nn_sources(), folder),
    ]
    library = folder / "libptee.so"
    run([gcc, "-shared", *sanitize, *objects, "-o", library])
    return Runtime(library)
