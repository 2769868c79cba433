"""What exit confidences are taught: an enum, readable without torch."""

from enum import Enum


class ConfidenceTarget(Enum):
    """What a confidence is pulled to, beside the loss of all exits."""

    LOG_ODDS = "log_odds"  # of the exit's own first choice
    AGREEMENT = "agreement"  # one where the exit's label is the asked one, zero elsewhere
