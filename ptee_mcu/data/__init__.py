"""Data sets, their splits and what each split has been used for."""
