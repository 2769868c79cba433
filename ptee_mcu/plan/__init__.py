"""Order of execution, memory layout and cost of an int8 network on a target."""
