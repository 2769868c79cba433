"""A project without an operating system: start-up code, self-test, measuring over a UART, CMake files."""
