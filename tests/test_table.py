"""A data set in a CSV file."""

import numpy as np
import pytest

from fastnn import DataError, datasets

FLOWERS = "length,width,kind\n" + "".join(f"{n}.5,{n % 3},{('rose', 'lily')[n % 2]}\n" for n in range(10))


@pytest.fixture
def load(tmp_path):
    def load(text, encoding="utf-8", **options):
        path = tmp_path / "data.csv"
        path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
        return datasets.load(path, **options)

    return load


def everything(load, text, **options):
    return load(text, test_only=True, **options).test


def test_the_only_column_of_words_is_the_label(load):
    data = load(FLOWERS)
    assert data.class_names == ("lily", "rose")
    assert (len(data.train[0]), len(data.validation[0]), len(data.test[0])) == (8, 1, 1)
    assert "images" not in data.metadata
    x, y = everything(load, FLOWERS)
    np.testing.assert_array_equal(x, [[n + 0.5, n % 3] for n in range(10)])
    assert x.dtype == np.float32
    np.testing.assert_array_equal(y, [(n + 1) % 2 for n in range(10)])


@pytest.mark.parametrize(
    "text",
    [
        "1,2,a\n3,4,b\n", "a;1;2\nb;3;4\n", "1\t2\ta\n3\t4\tb\n", "x,y z,label\n1,2,a\n3,4,b", "\n1,2,a\n\n3,4,b\n\n",
        '"x, 1",Class,"z"\n1,a,"2"\n3,"b",4\n', "Y,p,q\r\na,1,2\r\nb,3,4\r\n", "label,1,2\na,1,2\nb,3,4\n",
        "\ufeffp,species,q\n 1,a ,2\n3,b,4e0\n",
    ],
)  # fmt: skip
def test_every_form_of_table(load, text):
    x, y = everything(load, text)
    np.testing.assert_array_equal(x, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(y, [0, 1])


@pytest.mark.parametrize("column", ["second", "SECOND", 1, "1", -2, "-2"])
def test_the_column_of_labels_can_be_named(load, column):
    data = load("first,second,third\n1,7,a\n2,8,b\n3,7,c\n4,8,c\n".replace("a\n", "5\n").replace("b\n", "6\n").replace(
        "c\n", "7\n"), label_column=column, split="0/1")  # fmt: skip
    assert data.class_names == ("7", "8")
    np.testing.assert_array_equal(data.test[0], [[1, 5], [2, 6], [3, 7], [4, 7]])
    assert data.metadata["data"]["label_column"] == column


def test_numbers_as_labels(load):
    assert load("label,x\n1.0,5\n2.0,6\n10,7\n").class_names == ("1", "2", "10")
    assert load("label,x\n1.5,5\n2.0,6\n").class_names == ("1.5", "2.0")
    text = "label,x\n0,5\n1,6\n"
    np.testing.assert_array_equal(everything(load, text, class_names=["cat", "dog"])[1], [0, 1])


def test_pixels(load):
    text = "label,a,b,c,d\n0,0,255,0,51\n1,0,0,0,0\n"
    x, _ = everything(load, text, image_size=2)
    np.testing.assert_array_equal(x[0, ..., 0], np.float32([[0, 1], [0, 0.2]]))
    assert load(text, image_size=2).metadata["images"] == {"form": "plain"}
    with pytest.raises(DataError, match=r"data\.csv: rows of 4 values are no images of 3x3 pixels$"):
        load(text, image_size=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FLOWERS.replace("4.5,1,rose", "4.5,,rose"), r"line 6, column 'width': a number is missing$"),
        (FLOWERS.replace("4.5,1,rose", "4.5,1,"), r"line 6, column 'kind': the label is missing$"),
        (FLOWERS.replace("4.5,1,rose", "4.5,NA,rose"), r"line 6, column 'width': 'NA' is no number$"),
        (FLOWERS.replace("4.5,1,rose", "nan,1,rose"), r"line 6, column 'length': 'nan' is no number$"),
        (FLOWERS.replace("4.5,1,rose", "1e39,1,rose"), r"line 6: numbers must be in float32's range$"),
        (FLOWERS.replace("4.5,1,rose", "4.5,rose"), r"line 6: has 2 cells, the first line has 3$"),
        ("1,2,a\n3,,b\n", r"line 2, column '1': a number is missing$"),
        (",2,a\n3,4,b\n", r"line 1, column '0': a number is missing$"),
        ("1,2\n3,4\n", r"say which column holds the labels \(label_column, --label-column: a name, or a number "
                       r"from 0\); there are 2 columns$"),
        ("p,q\n3,4\n", r"say which column holds the labels .*; columns are p, q$"),
        ("a,b,1\nb,c,1\n", "say which column holds the labels"),
        ("", r"holds no table: it has fewer than two lines$"),
        ("label\n1\n2\n", r"holds no table: it has one column only$"),
        (FLOWERS.replace("rose", "lily"), r"a classifier needs two classes or more, got one: lily$"),
        (b"\xff\xfe\x00label", r"must be text in UTF-8, got byte 0xff$"),
    ],
)  # fmt: skip
def test_refused(load, text, message):
    with pytest.raises(DataError, match=r"data\.csv: " + message):
        load(text)


@pytest.mark.parametrize("column", ["height", 3, "-4"])
def test_no_such_column(load, column):
    with pytest.raises(DataError, match=f"has no column {column!r} for the labels .*; columns are length, width, k"):
        load(FLOWERS, label_column=column)


def test_a_label_outside_the_classes(load):
    with pytest.raises(DataError, match=r"data\.csv: line 3: label 'lily' is outside the classes rose, iris$"):
        load(FLOWERS, class_names=["rose", "iris"])


def test_a_folder_called_csv(tmp_path):
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        datasets.load(tmp_path / "x.csv")
