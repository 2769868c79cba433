"""Compiling generated C, running it on the host and in an emulated Cortex-M, and counting what it executes.

Nothing here knows the compiler's graphs or plans: it takes C files and arrays of inputs, and returns arrays.

    tools       which compilers and emulators are installed, and how to get the missing ones
    cmsis_nn    the CMSIS-NN sources and the closure of files that a set of its functions needs
    machines    emulated boards: flags, memories, clock
    build       gcc and arm-none-eabi-gcc, with a cache of static archives
    harness     programs that drive an emitted network, for host and machine
    memory      flash, RAM and symbols of a linked firmware
    qemu        one run of a firmware
    count       exact instruction counts through a QEMU plugin
    records     the files that the harness reads and writes
    execution   what came out: exits, logits, op outputs and counts as arrays
    run         inputs in, executions out; in chunks, on several cores
"""
