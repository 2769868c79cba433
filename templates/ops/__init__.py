"""One template per int8 op: its descriptor and its call."""
