"""Cycles: how many a core takes for what it executes and fetches, from traces and in closed form."""
