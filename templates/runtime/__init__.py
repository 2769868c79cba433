"""The run-time library, copied as it is."""
