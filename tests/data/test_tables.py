"""Tables in text: columns, labels, headers, and lines that are not what they should be."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import csv
from chainrule.errors import ArgumentError, DataError

IRIS = "\n".join(
    [
        "sepal,petal,kind",
        *(f"{5 + i / 10},{1 + i / 100},setosa" for i in range(6)),
        *(f"{6 + i / 10},{4 + i / 100},virginica" for i in range(4)),
    ]
)


def written(folder: Path, text: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_table_with_a_header(tmp_path: Path):
    data = csv(written(tmp_path, IRIS), test=0.2)
    assert data.classes == ("setosa", "virginica") and data.features == ("sepal", "petal")
    assert data.counts("train") == {"setosa": 5, "virginica": 3}
    assert data.counts("test") == {"setosa": 1, "virginica": 1}
    together = np.concatenate([data.train_x, data.test_x])
    expected = [[5 + i / 10, 1 + i / 100] for i in range(6)] + [[6 + i / 10, 4 + i / 100] for i in range(4)]
    np.testing.assert_array_equal(sorted(together.tolist()), np.array(sorted(expected), np.float32))
    x, _ = data.prepared("train")
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-6)
    raw = csv(written(tmp_path, IRIS), standardize=False)
    assert raw.preparation.is_identity
    np.testing.assert_array_equal(raw.train_x, csv(written(tmp_path, IRIS)).train_x)


@pytest.mark.parametrize("label", ["kind", 0, -3])
def test_the_label_may_be_any_column(tmp_path: Path, label: Any):
    path = written(tmp_path, "kind, height ,width\nb,1,2\na,3,4\nb,5,6\na,7,8\n")
    data = csv(path, label, test=2)
    assert data.classes == ("a", "b") and data.features == ("height", "width")


def test_without_a_header(tmp_path: Path):
    data = csv(written(tmp_path, "1,2,0\n3,4,1\n5,6,0\n7,8,1\n"), test=2)
    assert len(data.train_y) == 2 and data.features == ("column 0", "column 1") and data.classes == ("0", "1")
    named = csv(written(tmp_path, "1,2,0\n3,4,1\n5,6,0\n7,8,1\n9,9,0"), test=2, header=True)
    assert len(named.train_y) == 2 and named.features == ("1", "2")
    data = csv(written(tmp_path, "1,2,x\n3,4,y\n5,6,x\n7,8,y\n"), test=2)  # texts as labels are no header
    assert len(data.train_y) == 2 and data.classes == ("x", "y")


def test_numbers_as_classes_are_in_order(tmp_path: Path):
    data = csv(
        written(tmp_path, "\n".join(f"{i},{label}" for i, label in enumerate([10, 9, 2, 10, 9, 2]))), test=3
    )
    assert data.classes == ("2", "9", "10")


def test_other_ways_to_write_the_same(tmp_path: Path):
    plain = csv(written(tmp_path, IRIS))
    quoted = IRIS.replace("setosa", '"setosa"').replace("\n", "\r\n") + "\r\n\r\n"
    variants = [
        csv(written(tmp_path, b"\xef\xbb\xbf" + quoted.encode())),
        csv(written(tmp_path, IRIS.replace(",", ";")), delimiter=";"),
        csv(written(tmp_path, IRIS.replace(",", "\t"), "table.tsv")),
        csv(written(tmp_path, gzip.compress(IRIS.replace(",", "\t").encode()), "table.tsv.gz")),
        csv(written(tmp_path, IRIS.replace("\n", "\n\n"))),
    ]
    for other in variants:
        assert other.classes == plain.classes and other.features == plain.features
        np.testing.assert_array_equal(other.train_x, plain.train_x)
        np.testing.assert_array_equal(other.test_y, plain.test_y)


def test_a_quoted_label_may_have_anything_in_it(tmp_path: Path):
    data = csv(written(tmp_path, 'x,k\n1,"a, ""b""\nc"\n2,d\n3,"a, ""b""\nc"\n4,d\n'), test=2)
    assert data.classes == ('a, "b"\nc', "d")


def test_columns_may_be_left_out(tmp_path: Path):
    text = "id,name,x,kind\n1,Ann,0.5,a\n2,Bob,0.7,b\n3,Cyd,0.1,a\n4,Dan,0.2,b\n"
    data = csv(written(tmp_path, text), ignore=["name", 0], test=2)
    assert data.features == ("x",) and data.train_x.shape == (2, 1)
    assert csv(written(tmp_path, text), ignore="name", test=2).features == ("id", "x")
    with pytest.raises(ArgumentError, match=r"no column of .*table.csv is left to learn from"):
        csv(written(tmp_path, text), ignore=[0, 1, 2])


def test_numbers_to_predict(tmp_path: Path):
    data = csv(written(tmp_path, "x,price\n1,2.5\n2,3.5\n3,4.0\n4,5\n"), test=1)
    assert data.classes is None and data.train_y.dtype == np.float32 and data.train_y.shape == (3,)
    many = "\n".join(f"{i},{i}" for i in range(150))
    with pytest.raises(DataError, match="column 1 has 150 different integers: are they classes, or numbers"):
        csv(written(tmp_path, many))
    assert csv(written(tmp_path, many), targets="numbers").classes is None
    assert len(csv(written(tmp_path, f"{many}\n{many}"), targets="classes").classes or ()) == 150
    assert csv(written(tmp_path, "1,0.5\n2,0.5\n3,1.5\n4,1.5\n"), targets="classes").classes == ("0.5", "1.5")


def test_an_underscore_makes_a_text(tmp_path: Path):
    """Python reads 1_1 as 11; as a label it is a name."""
    data = csv(written(tmp_path, "x,k\n1,1_1\n2,1_2\n3,1_1\n4,1_2\n"), test=2)
    assert data.classes == ("1_1", "1_2") and sorted(data.train_y.tolist()) == [0, 1]
    assert csv(written(tmp_path, "a_1,2_0\n1,0\n2,1\n3,0\n4,1\n"), test=2).features == ("a_1",)
    with pytest.raises(DataError, match=r"line 2: k is '1_1', expected a finite number"):
        csv(written(tmp_path, "x,k\n1,1_1\n2,0.5\n"), targets="numbers")


def test_another_table_to_test_on(tmp_path: Path):
    train = written(tmp_path, "x,k\n1,a\n2,b\n")
    data = csv(train, test=written(tmp_path, "x,k\n3,b\n4,a\n5,b\n", "test.csv"))
    assert data.test_y.tolist() == [1, 0, 1] and len(data.train_y) == 2
    with pytest.raises(DataError, match=r"test.csv: line 3: k is 'c', which never occurs in training"):
        csv(train, test=str(written(tmp_path, "x,k\n3,b\n4,c\n", "test.csv")))
    with pytest.raises(DataError, match=r"test.csv: other columns than"):
        csv(train, test=written(tmp_path, "z,k\n3,b\n4,a\n", "test.csv"))


def test_the_key_chooses(tmp_path: Path):
    path = written(tmp_path, "\n".join(f"{i},{i % 2}" for i in range(40)))
    one, same, other = (csv(path, key=cr.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.test_x, same.test_x)
    assert (one.test_x != other.test_x).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "table.csv: no examples"),
        ("x,k\n", "table.csv: no examples"),
        ("x,k\n1,a\n2\n", "line 3 has 1 fields, expected 2\n  Fix: mend the line"),
        ("x,k\n1,a\n2,b,c\n", "line 3 has 3 fields, expected 2"),
        ("x,z,k\n1,2,a\n1,red,b\n", r"line 3: z is 'red', expected a finite number.*\n.*ignore=\['z'\]"),
        ("x,z,k\n1,2,a\n1,,b\n", "line 3: z is empty\n  Fix: fill it in"),
        ("x,z,k\n1,2,a\n1,1_0,b\n", "line 3: z is '1_0', expected a finite number"),
        ("x,z,k\n1,2,a\n1,nan,b\n", "line 3: z is 'nan', expected a finite number"),
        ("x,z,k\n1,2,a\n1,1e39,b\n", "line 3: z is '1e\\+39', expected a finite number of float32"),
        ("x,z,k\n1,2,a\n1,2,\n", "line 3: k is empty"),
        (f"x,k\n1,a\n2,{'b' * 201}\n", "line 3: k has 201 characters, more than 200"),
        ("x,k\n1,0.5\n2,nan\n", "line 3: k is 'nan', expected a finite number"),
        ('x,k\n1,a\n2,"b\n', "line 3: unexpected end of data\n  Fix: mend the quotes"),
        ('x,k\n1,a\n2,"b"c\n', "line 3: .* expected after '\"'"),
        ("x;k\n1;a\n2;b\n", "a single column: 'x;k'\n  Fix: pass delimiter=';'"),
        ("hello\nworld\n", "a single column: 'hello'\n  Fix: write the features and then the label"),
        (b"x,k\n1,a\n2,\xff\n", "table.csv: line 3 is not UTF-8"),
        ("gr\xf6\xdfe,k\n1,a\n2,b\n".encode("latin-1"), "table.csv: line 1 is not UTF-8"),
        (b"x,k\n" + b"1,a\n" * 200_000 + b"2,\xff\n", "table.csv: line 200002 is not UTF-8"),
        ("a,a,k\n1,2,a\n3,4,b\n", "table.csv: two columns are called 'a'"),
        ("x,k\n1,0.5\n", "table.csv: test: none can be split off from 1 example\n  Fix: bring more"),
        ("x,k\n1,a\n2,b\n" + "1" * 200_000 + ",a\n", "line 4: field larger than field limit"),
        ("x,k\n1,a\n2,b\n" + "1" * (1 << 24), "line 4 has more than 16777216 characters"),
        (
            "x,k\n1,a\n2,b\n",
            "table.csv: test: cannot take 1 of 2 examples and leave one of each of 2 classes",
        ),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "line 1 is not UTF-8"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, text: Any, message: str):
    with pytest.raises(DataError, match=message) as caught:
        csv(written(tmp_path, text), test=0.5)
    assert "table.csv" in caught.value.message


def test_a_packed_table_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chainrule.data.files.text_lines.__defaults__", (1000,))
    path = written(tmp_path, gzip.compress(b"1,0\n2,1\n" * 1000), "table.csv.gz")
    with pytest.raises(DataError, match="holds more than 1000 bytes"):
        csv(path)


def test_a_packed_table_takes_little_memory(tmp_path: Path):
    """Each line some numbers, wherever labels repeat: 1.6 MB of gzip hold 200 million of these lines."""
    path, n = written(tmp_path, gzip.compress(b"1,10\n2,11\n" * 25_000), "table.csv.gz"), 50_000
    csv(path)  # what is loaded and compiled once
    tracemalloc.start()
    data = csv(path, test=0.5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * n and data.counts("test") == {"10": n // 4, "11": n // 4}


def test_labels_that_are_all_the_same_are_refused(tmp_path: Path):
    message = "table.csv: every example is of class 'yes': there is nothing to tell apart"
    with pytest.raises(DataError, match=message):
        csv(written(tmp_path, "x,k\n" + "1,yes\n2,yes\n" * 10))


@pytest.mark.parametrize("first", [1_700_000_000, 10**12])
def test_large_numbers_keep_their_differences(tmp_path: Path, first: int):
    rows = "".join(f"{first + i},{'ab'[i % 2]}\n" for i in range(160))
    data = csv(written(tmp_path, "time,k\n" + rows))
    x = np.concatenate([data.prepared(part)[0] for part in data.parts])
    assert x.dtype == np.float32 and len(np.unique(x)) == 160


@pytest.mark.parametrize("line", ["{0},{1}\n", "{0},label {0}\n"])
def test_a_table_that_takes_too_much_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
):
    path = written(tmp_path, "".join(line.format(i, i % 2) for i in range(1000)))
    monkeypatch.setattr("chainrule.data.tables.LIMIT", 50_000)
    message = (
        r"table.csv: takes more than 50000 bytes of memory up to line \d\d\d\n  Fix: cut it into smaller"
    )
    with pytest.raises(DataError, match=message):
        csv(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "sort"}, "no column 'sort': .*table.csv names columns 'sepal', 'petal', 'kind'"),
        ({"label": 3}, "no column 3: .*table.csv has 3 columns"),
        ({"label": 1.5}, "no column 1.5"),
        ({"delimiter": "::"}, "delimiter must be one character, got '::'"),
        ({"delimiter": '"'}, "delimiter must be one character"),
        ({"targets": "ints"}, 'targets must be "classes" or "numbers", got \'ints\''),
        ({"header": "no"}, "header must be True or False"),
        ({"standardize": 1}, "standardize must be True or False"),
        ({"test": 5.0}, "test: expected a share between 0 and 1"),
        ({"ignore": ["name"]}, "no column 'name'"),
    ],
)
def test_impossible_arguments(tmp_path: Path, options: dict[str, Any], message: str):
    with pytest.raises(ArgumentError, match=message):
        csv(written(tmp_path, IRIS), **options)
