"""Templates of the emitted C, and the run-time library it calls."""
