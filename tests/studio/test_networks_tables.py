"""Tables as people bring them: what is understood, and what is said of the rest."""

import numpy as np
import pytest

from chainrule import errors
from chainrule.studio.networks.questions import points, setting_of
from chainrule.studio.networks.sessions import Sessions
from chainrule.studio.networks.tables import points_of, read_table
from studio_networks import asked, run_program

FLOWERS = "height,width,kind\n1,2,tulip\n3,4,rose\n5,6.5,tulip\n7,8,rose\n9,1,tulip\n"


def rows(text):
    return [fields for _, fields in read_table(text).rows]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("1,2,a\n3,4,b\n5,6,a\n7,8,b\n", ","),
        ("1;2;a\n3;4;b\n5;6;a\n7;8;b\n", ";"),
        ("1,0;2,5;a\n3,0;4,5;b\n5,0;6,5;a\n7,0;8,5;b", ";"),
        ("1\t2\ta\n3\t4\tb\n5\t6\ta\n7\t8\tb\n", "\t"),
        ("1|2|a\r\n3|4|b\r\n5|6|a\r\n7|8|b\r\n", "|"),
        ("1 2 a\n3  4 b\n 5 6 a\n7 8 b\n", " "),
        ('"1","2","a, b"\n3,4,b\n5,6,"a, b"\n7,8,b\n', ","),
    ],
)
def test_separators_are_found(text, delimiter):
    found = read_table(text)
    assert found.delimiter == delimiter and not found.titled
    assert found.suggestion == {"inputs": ["column 1", "column 2"], "label": "column 3"}
    assert float(found.rows[1][1][0]) == 3.0


def test_names_empty_lines_and_a_byte_order_mark():
    found = read_table("\ufeffname, height ,height,,kind\n\na,1.5,2,x,0\nb,2,3,y,1\n\nc,3,4,x,0\nd,4,5,y,1\n")
    assert [c.name for c in found.columns] == ["name", "height", "height (3)", "column 4", "kind"]
    assert found.titled and [line for line, _ in found.rows] == [3, 4, 6, 7]
    assert found.suggestion["inputs"] == ["height", "height (3)"]


def test_columns_that_only_count_lines_are_no_inputs_and_a_few_mistakes_leave_a_column_of_numbers():
    text = "nr,height,width,kind\n" + "".join(
        f"{i},{i / 3},{'tall' if i == 4 else i % 5},{'ab'[i % 2]}\n" for i in range(1, 13)
    )
    found = read_table(text)
    assert found.suggestion == {"inputs": ["height", "width"], "label": "kind"}
    with pytest.raises(errors.DataError, match="line 5: width is 'tall'"):
        used(text)


def test_a_header_of_texts_above_texts_can_be_told():
    text = "x,y,kind\n1,2,a\n3,4,b\n5,6,a\n7,8,b\n"
    assert read_table(text).titled and not read_table(text, titled=False).titled
    assert len(read_table(text, titled=False).rows) == 5


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("", "is empty", "one example on each line"),
        ("\n \n", "is empty", "one example on each line"),
        ("1\n2\n3\n4\n", "single column", "commas"),
        ("1,2,a\n3,4,b\n5,6\n7,8,b\n", "line 3 has 2 fields, the others 3", "mend the line"),
        ("1,2,a\n3,4,b\n", "2 examples", "at least 4"),
        ('1,2,a\n3,"4,b\n5,6,a\n7,8,b\n', "line", "quotes"),
        ("PK\x03\x04xl/workbook", "not a text table", "CSV"),
        ("1,2\0,a\n", "not a text table", "CSV"),
        ("a,b,k\n" + "1,2,x\n" * 6_001, "has 6,001 lines, more than 5,000", "fewer"),
        ("1 2 x\n" * 7_000, "has 7,000 lines, more than 5,000", "fewer"),
        ("1," * 300 + "a\n" + ("2," * 300 + "b\n") * 4, "301 columns", "leave some out"),
        ("x" * 1_000_001, "1,000,001 bytes", "fewer"),
    ],
)
def test_what_is_no_table(text, message, fix):
    with pytest.raises(errors.DataError) as caught:
        read_table(text)
    assert message in caught.value.message and fix in caught.value.fix


def used(text, inputs=("height", "width"), label="kind", **more):
    return points_of(read_table(text), list(inputs), label, 0.0, 0, **more)


def test_points_are_standardized_and_keep_what_they_were():
    found = used(FLOWERS)
    assert found.classes == ("rose", "tulip") and found.y.tolist() == [1, 0, 1, 0, 1]
    np.testing.assert_allclose(found.x.mean(0), 0, atol=1e-15)
    np.testing.assert_allclose(found.x.std(0), 1)
    assert found.given.tolist()[2] == [5.0, 6.5]
    axes = points(found)["axes"]
    assert axes[0]["low"] < 1 and axes[0]["high"] > 9 and axes[0]["name"] == "height"


@pytest.mark.parametrize(
    ("change", "message", "fix"),
    [
        (("5,6.5", "5,"), "line 4: width is missing", "skip"),
        (("5,6.5", "5,n/a"), "line 4: width is missing", "skip"),
        (("5,6.5", "5,tall"), "line 4: width is 'tall', expected a number", "skip"),
        (("5,6.5", "5,1e999"), "line 4: width is 1e999", "skip"),
        (("5,6.5,tulip", "5,6.5,"), "line 4: kind is missing", "skip"),
        (("5,6.5,tulip", "5,6.5,lily"), "a single line of kind 'lily'", "two of each"),
    ],
)
def test_wrong_lines(change, message, fix):
    text = FLOWERS.replace(*change)
    with pytest.raises(errors.DataError) as caught:
        used(text)
    assert message in caught.value.message and fix in caught.value.fix
    if fix == "skip":
        assert len(used(text, skip=True).x) == 4


@pytest.mark.parametrize(
    ("inputs", "label", "message"),
    [
        (["height", "depth"], "kind", "no column 'depth'"),
        (["height", "height"], "kind", "inputs are height, height"),
        (["height"], "height", "the label is height"),
        (["kind"], "height", "kind is 'tulip', expected a number"),
    ],
)
def test_columns_that_do_not_fit(inputs, label, message):
    with pytest.raises(errors.DataError) as caught:
        used(FLOWERS, inputs, label)
    assert message in caught.value.message


def test_labels_that_tell_nothing_and_too_many():
    with pytest.raises(errors.DataError, match="nothing to tell apart"):
        used(FLOWERS.replace("rose", "tulip"))
    many = "a,b,name\n" + "".join(f"{i},{i * i},n{i}\n" for i in range(30))
    with pytest.raises(errors.DataError, match="30 different texts"):
        used(many, ("a", "b"), "name")
    with pytest.raises(errors.DataError, match="is 4 in every line"):
        used("a,b,k\n4,1,x\n4,2,y\n4,3,x\n4,5,y\n", ("a", "b"), "k")


def test_columns_are_tried_before_they_are_used():
    text = "a,b,name,size\n" + "".join(
        f"{i},{i * i},n{i % 15},{'1e400' if i == 3 else i}\n" for i in range(30)
    )

    def problem(**more):
        return asked(Sessions(), "/api/network/table", "POST", text=text, **more)["problem"]

    assert problem() is None
    assert (
        problem(inputs=["a", "b"], label="size", skip=True)["message"]
        == "size holds a number that is not finite"
    )
    assert "15 different texts" in problem(inputs=["a", "b"], label="name")["message"]
    assert "line 5: size is 1e400" in problem(inputs=["a", "size"], label="b")["message"]
    assert problem(inputs=["a", "size"], label="b", skip=True) is None


def test_a_column_of_numbers_is_learned_as_numbers():
    text = "size,rooms,price\n" + "".join(f"{i},{i % 5},{1000 * i + 0.5}\n" for i in range(1, 30))
    setting = setting_of({"layers": [3]}, {"text": text})
    assert setting.examples.kind == "numbers" and setting.options.loss == "squared"
    assert abs(float(setting.examples.y.mean())) < 1e-12 and setting.examples.size > 1000
    with pytest.raises(errors.ArgumentError, match="has numbers to learn"):
        setting_of({"loss": "cross_entropy"}, {"text": text})


@pytest.mark.parametrize("answer", ["kind", "price"])
def test_the_program_of_own_data(answer, tmp_path):
    kinds = ("rose", '"lily, white"')
    lines = [f"{i / 7},{i * i % 11},{kinds[i % 3 == 0]},{i * 1.5}" for i in range(1, 30)]
    text = "\n".join(["height,width,kind,price", *lines])
    sessions = Sessions()
    table = {"text": text, "inputs": ["height", "width"], "label": answer}
    made = asked(sessions, "/api/network", "POST", options={"batch": 7}, table=table)
    session = made["session"]
    assert made["options"]["data"] == "own"
    frame = asked(sessions, "/api/network/{session}/command", "POST", session=session, do="seek", update=9)
    run_program(asked(sessions, "/api/network/{session}/program", session=session), tmp_path, frame)
