"""Print what is installed beside this interpreter, as a CycloneDX document. Run while the image is built.

Needs nothing but Python: it runs in the environment that it describes.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import Distribution, distributions


def document() -> dict[str, object]:
    found = sorted(distributions(), key=lambda one: one.name.lower())
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "components": [_component(one) for one in found],
    }


def _component(one: Distribution) -> dict[str, object]:
    component: dict[str, object] = {
        "type": "application" if one.name == "vecraft" else "library",
        "name": one.name,
        "version": one.version,
        "purl": f"pkg:pypi/{one.name.lower().replace('_', '-')}@{one.version}",
    }
    licences = one.metadata.get_all("License-Expression") or []
    return {**component, "licenses": [{"expression": text} for text in licences]} if licences else component


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=1)
