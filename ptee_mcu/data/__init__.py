"""Data sets, their splits and what each split has been used for."""

from ptee_mcu.data.chance import chance_warning
from ptee_mcu.data.dataset import Dataset, Images, Labels, make_dataset, require_fits
from ptee_mcu.data.sources import ENVIRONMENT, SOURCES, Source, data_folder, load, located
from ptee_mcu.data.splits import Split, Splits, Use, divide, require_choosable, require_reportable

__all__ = [
    "ENVIRONMENT",
    "SOURCES",
    "Dataset",
    "Images",
    "Labels",
    "Source",
    "Split",
    "Splits",
    "Use",
    "chance_warning",
    "data_folder",
    "divide",
    "load",
    "located",
    "make_dataset",
    "require_choosable",
    "require_fits",
    "require_reportable",
]
