"""The stages of a build, each from a config and a value to the next value; `pipeline.py` puts them in order."""
