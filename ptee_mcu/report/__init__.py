"""What a build, a simulation or a comparison found, as tables and JSON."""
