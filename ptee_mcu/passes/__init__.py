"""Rewrites of the float graph and of the int8 graph."""
