"""The data sets that travel with the package are whole, and their pages tell the truth."""

from __future__ import annotations

import gzip
import hashlib
from importlib.resources import files

import numpy as np

DATASETS = files("chainrule") / "datasets"


def test_digits_are_what_their_page_says():
    page = (DATASETS / "digits.md").read_text(encoding="utf-8")
    packed = (DATASETS / "digits.csv.gz").read_bytes()
    text = gzip.decompress(packed)
    for content in (packed, text):
        assert f"| {len(content)} | `{hashlib.sha256(content).hexdigest()}` |" in page

    table = np.loadtxt(text.decode("ascii").splitlines(), delimiter=",", dtype=np.int64)
    assert table.shape == (1797, 65)
    pixels, labels = table[:, :64], table[:, 64]
    assert (pixels.min(), pixels.max()) == (0, 16)
    counts = " | ".join(map(str, np.bincount(labels, minlength=10)))
    assert f"| images | {counts} |" in page


def test_pixels_run_along_rows_from_the_top_left():
    text = gzip.decompress((DATASETS / "digits.csv.gz").read_bytes()).decode("ascii")
    row = next(line for line in text.splitlines() if line.endswith(",7"))
    image = np.array(row.split(",")[:64], dtype=np.int64).reshape(8, 8)
    assert image[:3].sum() > image[5:].sum()  # the bar of a 7 is at the top


def test_the_attribution_names_authors_source_and_licence():
    page = (DATASETS / "digits.md").read_text(encoding="utf-8")
    for text in ("E. Alpaydin", "C. Kaynak", "10.24432/C50P49", "CC BY 4.0"):
        assert text in page
