"""What the tests of integrations share: the network's name, and readers of a pack's description."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

NAME = "small"
PDSC = f"integrations/pack/ptee-mcu.{NAME}.pdsc"

Files = Mapping[str, str | bytes]


def description(folder: Path) -> ET.Element:
    return ET.parse(folder / f"ptee-mcu.{NAME}.pdsc").getroot()  # noqa: S314 - our own file


def component(package: ET.Element, variant: str) -> ET.Element:
    (found,) = (c for c in package.iter("component") if c.get("Cvariant") == variant)
    return found


def listed(element: ET.Element, category: str) -> list[str]:
    return [file.attrib["name"] for file in element.iter("file") if file.get("category") == category]
