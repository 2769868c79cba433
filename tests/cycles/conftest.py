"""A compiler and plugin cache of the test session's own."""

from support.cache import cache_folder, own_cache

__all__ = ["cache_folder", "own_cache"]
