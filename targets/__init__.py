"""Boards, one TOML file each."""
