"""Writes values.yaml, values.schema.json and docs/helm-values.md of the Helm chart.

Run it after changing values.schema.yaml, renamed.yaml or a setting: `make configuration`. A test
fails when the files are stale.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from scripts.chart_schema import CHART, Schema, chart_schema, closed_schema, renamed

ROOT = CHART.parent.parent
PAGE = ROOT / "docs" / "helm-values.md"

_VALUES_HEAD = """# Every value of the chart with its default.
# Written by `make configuration` from values.schema.yaml; docs/helm-values.md explains them too.
"""

_PAGE_HEAD = """# Values of the Helm chart

What each means and what it is when nobody says anything. [deployment-kubernetes.md](
deployment-kubernetes.md) tells how to install. A key that is not here is refused, and the error
lists those that are known at its place.

This page is written by `make configuration` from `helm/sentinode/values.schema.yaml` and the
node's settings.

| value | default | meaning |
|---|---|---|
"""

_RENAMED_HEAD = """
## Refused keys

Names that are in use elsewhere or that moved; the error says what to write.

| key | instead |
|---|---|
"""


def values_file() -> str:
    """values.yaml: defaults with their description as comments."""
    return _VALUES_HEAD + "".join(_emitted(chart_schema(), 0))


def schema_file() -> str:
    """values.schema.json."""
    return json.dumps(closed_schema(), indent=1) + "\n"


def page() -> str:
    """docs/helm-values.md."""
    rows = "".join(f"| `{path}` | {default} | {text} |\n" for path, default, text in _rows())
    refused = "".join(f"| `{path}` | {hint} |\n" for path, hint in renamed().items())
    return _PAGE_HEAD + rows + _RENAMED_HEAD + refused


def _emitted(node: Schema, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, child in node["properties"].items():
        nested = child.get("properties") and "default" not in child
        if not nested and "default" not in child:
            continue
        if depth == 0:
            yield "\n"
        yield from _comment(child.get("description", ""), indent)
        if nested:
            yield f"{indent}{name}:\n"
            yield from _emitted(child, depth + 1)
        else:
            text = yaml.safe_dump({name: child["default"]}, sort_keys=False, width=1000)
            yield textwrap.indent(text, indent)


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(text, 98 - len(indent)):
        yield f"{indent}# {line}\n"


def _rows(node: Schema | None = None, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Path, default and description of every value, parents first."""
    for name, child in (node or chart_schema())["properties"].items():
        path = f"{prefix}{name}"
        text = " ".join(child.get("description", "").split())
        yield path, _cell(child), text + _choices(child)
        if child.get("properties") and path != "settings":
            yield from _rows(child, f"{path}.")


def _cell(child: Schema) -> str:
    default: Any = child.get("default")
    return "" if default in (None, "", {}, []) else f"`{json.dumps(default)}`"


def _choices(child: Schema) -> str:
    return f" One of {', '.join(f'`{one}`' for one in child['enum'])}." if "enum" in child else ""


def main() -> None:
    """Write all three."""
    (CHART / "values.yaml").write_text(values_file(), encoding="utf-8")
    (CHART / "values.schema.json").write_text(schema_file(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
