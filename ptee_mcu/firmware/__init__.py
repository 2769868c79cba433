"""Compiling generated C, running it on the host and in an emulated Cortex-M, and counting what it executes.

Nothing here knows the compiler's graphs or plans: it takes C files, boards and arrays of inputs, and returns arrays.

    tools       which compilers and emulators are installed, and how to get the missing ones
    cmsis_nn    the CMSIS-NN sources and the closure of files that a set of its functions needs
    machines    emulated boards: flags, memories, clock
    layout      where a board's memories lie in an emulated machine
    build       gcc and arm-none-eabi-gcc, with a cache of static archives
    harness     programs that drive an emitted network, for host and machine
    memory      flash, RAM and symbols of a linked firmware
    qemu        one run of a firmware
    plugin      QEMU plugins, compiled on first use
    count       exact instruction counts through a plugin
    elf         sections and symbols of any program for Arm
    windows     which memory of a board an emulated address stands for
    trace       what a program executes, reads and misses in a board's caches, through a plugin
    trace_file  the file that the tracing plugin writes
    records     the files that the harness reads and writes
    intervals   which input, segment and op a count or a stretch of a trace belongs to
    execution   what came out: exits, logits, op outputs and counts as arrays
    run         inputs in, executions out; in chunks, on several cores
"""
