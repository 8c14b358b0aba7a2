"""Pickles: what every protocol of plain arrays and containers gives, and that nothing of any other is run."""

from __future__ import annotations

import collections
import copyreg
import os
import pickle
import struct
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastnn.errors import CheckpointError
from fastnn.formats import pickles

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
DTYPES = st.one_of(
    hnp.floating_dtypes(sizes=(16, 32, 64)), hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(),
    hnp.boolean_dtypes(), hnp.unicode_string_dtypes(), hnp.byte_string_dtypes(),
)  # fmt: skip
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0, max_side=4)).map(np.asarray)
LEAVES = st.one_of(
    ARRAYS, ARRAYS.map(np.transpose), st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False),
    st.text(), st.binary(), st.frozensets(st.integers(0, 9)), st.just(np.float32(1.5)),
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(st.text() | st.integers(), inner),
        st.dictionaries(st.text(), inner).map(collections.OrderedDict),
        st.dictionaries(st.text(), inner).map(lambda d: collections.defaultdict(list, d)),
    ),
    max_leaves=8,
)  # fmt: skip


def leaves(value, place=()):
    """The arrays and numbers of a tree: an obvious twin of the reader's own walk."""
    if isinstance(value, np.ndarray | np.generic):
        return [(place, np.asarray(value))]
    if isinstance(value, bool | str | bytes | None):
        return []
    if isinstance(value, int | float):
        return [] if isinstance(value, int) and value.bit_length() >= 64 else [(place, np.asarray(float(value)))]
    items = [(str(k), v) for k, v in value.items()] if isinstance(value, dict) else list(enumerate(value))
    return [leaf for key, each in items for leaf in leaves(each, (*place, key))]


@given(tree=TREES, protocol=st.sampled_from(PROTOCOLS))
def test_arrays_and_numbers_come_back(tree, protocol):
    data = pickle.dumps(tree, protocol)
    expected = leaves(pickle.loads(data))
    got = pickles.arrays(data)
    assert [place for place, _ in got] == [place for place, _ in expected]
    for (_, a), (_, b) in zip(got, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype.newbyteorder("=") == b.dtype.newbyteorder("=")
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_shared_arrays_are_at_both_places(protocol):
    a = np.arange(3.0)
    assert [place for place, _ in pickles.arrays(pickle.dumps([a, {"x": a}], protocol))] == [(0,), (1, "x")]


@pytest.mark.parametrize("core", ["core", "_core"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_both_spellings_of_numpy(core, protocol):
    """NumPy 1 wrote numpy.core where NumPy 2 writes numpy._core."""
    data = pickle.dumps([np.ones((2, 3)), np.float64(2)], protocol)
    if protocol >= 4:  # there a name has its length before it
        other = data.replace(b"numpy._core", b"numpy.core").replace(b"\x8c\x16numpy.core", b"\x8c\x15numpy.core")
        other = other.replace(b"\x8c\x13numpy.core", b"\x8c\x12numpy.core")
    else:
        other = data.replace(b"numpy._core", b"numpy.core")
    (_, a), (_, b) = pickles.arrays(data if core == "_core" else other)
    np.testing.assert_array_equal(a, np.ones((2, 3)))
    assert b == 2


def test_files_of_python_2():
    """There an array's bytes are text: in protocol 0 with escapes, in 1 and 2 as they are."""
    state = (
        b"(I1\n(I2\ntcnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n%stb"
    )
    array = b"(dS'W1'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR" + state + b"s."
    content = struct.pack("<2d", 1.5, -0.1)
    escaped = b"S" + repr(content)[1:].encode() + b"\n"
    assert rb"\x99" in escaped
    for text in (escaped, b"T" + struct.pack("<I", len(content)) + content, b"U\x10" + content):
        ((place, a),) = pickles.arrays(array % text)
        assert place == ("W1",)
        np.testing.assert_array_equal(a, [1.5, -0.1])


# What is refused


class Calls:
    """Pickles as a call of function(*arguments), with a state and items."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments, state)

    def __reduce__(self):
        return self.reduced


class Opaque:
    def __init__(self):
        self.weights = np.ones(2)


TOUCHED = []


def touch(*arguments):
    TOUCHED.append(arguments)


EVIL = {
    "os.system": lambda: Calls(os.system, "echo run > touched"),
    "builtins.eval": lambda: Calls(eval, "__import__('os').system('echo run > touched')"),
    "tests.test_pickles.touch": lambda: Calls(touch, 1),
    "copyreg._reconstructor": lambda: Calls(copyreg._reconstructor, Opaque, object, None),
    "numpy.load": lambda: Calls(np.load, "touched"),
    "numpy.fromfile": lambda: Calls(np.fromfile, "touched"),
    "numpy.memmap": lambda: Calls(np.memmap, "touched", "u1", "w+", 0, (8,)),
    "builtins.getattr": lambda: Calls(getattr, "text", "upper"),
    "builtins.bytearray": lambda: bytearray(2),
    "numpy.ndarray": lambda: Calls(np.ndarray, (10**9,)),
    "builtins.list": lambda: Calls(list, [1]),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", EVIL)
def test_what_is_called_is_refused_by_name_and_not_run(tmp_path, monkeypatch, name, protocol):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps({"W1": np.ones((2, 2)), "x": [EVIL[name]()]}, protocol)
    if name == "builtins.bytearray" and protocol == 5:
        assert len(pickles.arrays(data)) == 1  # no call there: a bytearray is plain data
        return
    with pytest.raises(CheckpointError, match="^refused: it (names|calls) ") as caught:
        pickles.arrays(data)
    module, _, function = name.rpartition(".")
    words = str(caught.value).split(";")[0].split()[-1]
    assert words.replace("__builtin__", "builtins").replace("posix", "os").replace("copy_reg", "copyreg") in (
        f"{module}.{function}", f"{np.load.__module__}.{function}", f"test_pickles.{function}"
    )  # fmt: skip
    assert not TOUCHED
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_objects_are_refused(protocol):
    for value in (Opaque(), [Opaque], np.float32, len):
        with pytest.raises(CheckpointError, match="^refused: it names "):
            pickles.arrays(pickle.dumps(value, protocol))
    for value in (np.array([Opaque()]), np.array([None, 1]), np.array([[]], object)):
        with pytest.raises(CheckpointError, match="^refused: it holds an array of dtype O8"):
            pickles.arrays(pickle.dumps(value, protocol))
    structured = np.zeros(2, [("a", "f4"), ("b", "f4")])
    with pytest.raises(CheckpointError, match="^refused: it holds an array of dtype V8"):
        pickles.arrays(pickle.dumps(structured, protocol))


NDARRAY = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR"
F8 = b"cnumpy\ndtype\n(X\x02\x00\x00\x00f8I00\nI01\ntR"


def array_of(shape, content, dtype=F8):
    """Pickle of one array, as these parts."""
    sizes = b"".join(b"I%d\n" % size for size in shape)
    return NDARRAY + b"(I1\n(" + sizes + b"t" + dtype + b"I00\n" + content + b"tb."


def test_the_hand_made_array_is_one():
    ((_, a),) = pickles.arrays(array_of((1, 2), b"C\x10" + struct.pack("<2d", 1, 2)))
    np.testing.assert_array_equal(a, [[1, 2]])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        # sizes that a file states
        (array_of((10**12,), b"C\x08" + bytes(8)), r"an array of shape \(1000000000000,\) and dtype float64 with 8"),
        (array_of((2**32, 2**32, 0 + 1), b"C\x00"), "an array of shape"),
        (array_of((-1,), b"C\x08" + bytes(8)), "an array without shape, dtype and bytes"),
        (array_of((1,), b"I8\n"), "an array without shape, dtype and bytes"),
        (array_of((1,), b"(lp0\n"), "an array without shape, dtype and bytes"),
        (array_of((1,), b"C\x08" + bytes(8), b"I7\n"), "an array without shape, dtype and bytes"),
        (array_of((), b"C\x08" + bytes(8), F8.replace(b"\x02\0\0\0f8", b"\x09\0\0\0U99999999")), "with 8 bytes"),
        (b"B\xff\xff\xff\x7fxx.", "no pickle, or a damaged one: .*[0-9]+ bytes"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fxx.", "no pickle, or a damaged one: "),
        (b"\x8b\xff\xff\xff\x7f1.", "no pickle, or a damaged one: "),
        (b"I1\nr\xff\xff\xff\xff0.", "no pickle, or a damaged one: "),
        (b"L" + b"9" * 10_000 + b"L\n.", "no pickle, or a damaged one: "),
        # states and calls of what is known
        (b"cnumpy\nndarray\n(tR.", "refused: it calls numpy.ndarray"),
        (b"cnumpy\nndarray\n}X\x01\x00\x00\x00aI1\nsb.", "refused: it sets the state of numpy.ndarray"),
        (b"cnumpy\ndtype\n}X\x01\x00\x00\x00aI1\nsb.", "refused: it sets the state of numpy.dtype"),
        (b"}}X\x01\x00\x00\x00aI1\nsb.", "refused: it sets the state of a dict"),
        (b"I1\n(tR.", "refused: it calls a int"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x04\x00\x00\x00zip_tR.", "no pickle.*: bytes in another enc"),
        (F8 + b"(I3\nX\x01\x00\x00\x00<N(X\x01\x00\x00\x00at}I8\nI8\nI0\ntb.", "refused: it holds an array of a comp"),
        (F8 + b"(I3\nX\x01\x00\x00\x00!NNNI8\nI8\nI0\ntb.", "refused: it holds an array of a compound"),
        (b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8I00\nI01\ntR.", "refused: it holds an array of dtype O8"),
        (b"cnumpy\ndtype\n(X\x05\x00\x00\x00f8,f8I00\nI01\ntR.", "refused: it holds an array of dtype f8,f8"),
        (b"cnumpy\ndtype\n(I1\ntR.", "refused: it holds an array of dtype made of a int"),
        (b"c__builtin__\nset\n(X\x02\x00\x00\x00abtR.", "no pickle, or a damaged one: a set of something other"),
        (array_of((1,) * 65, b"C\x08" + bytes(8)), "an array of shape"),
        (array_of((2**64, 0), b"C\x00"), "an array without shape, dtype and bytes"),
        (NDARRAY + b".", "no pickle, or a damaged one: an array without content"),
        # instructions
        (b"(I1\nios\nsystem\n.", "refused: its instruction INST"),
        (b"(cnumpy\ndtype\nX\x02\x00\x00\x00f8o.", "refused: its instruction OBJ"),
        (b"cnumpy\ndtype\n)\x81.", "refused: its instruction NEWOBJ"),
        (b"\x82\x01.", "refused: its instruction EXT1"),
        (b"P1\n.", "refused: its instruction PERSID"),
        (b"\x97.", "refused: its instruction NEXT_BUFFER"),
        (b"2.", "refused: its instruction DUP"),
        (b"cos\nsystem\n.", "refused: it names os.system; only NumPy arrays and plain containers are read"),
        (b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93.", "refused: it names os.system"),
        (b"X\x05\x00\x00\x00numpyX\x0e\x00\x00\x00ndarray.tofile\x93.", "refused: it names numpy.ndarray.tofile"),
        (b"]]\x93.", "no pickle, or a damaged one: a name that is no text"),
        # shapes of the tree
        (b"(" * 40 + b"I1\n" + b"l" * 40 + b".", "refused: its containers are nested more than 32 deep"),
        (b"}I1\nI2\n\x86I3\ns.", "refused: a dict has a tuple for a key"),
        # damage
        (b"", "no pickle, or a damaged one: no instruction at byte 0"),
        (b"hello", "no pickle, or a damaged one: "),
        (b"\x80\x04]", "no pickle, or a damaged one: "),
        (b".", "no pickle, or a damaged one: "),
        (b"a.", "no pickle, or a damaged one: "),
        (b"I1\nI2\na.", "no pickle, or a damaged one: "),
        (b"h\x05.", "no pickle, or a damaged one: "),
        (b"e.", "no pickle, or a damaged one: "),
        (b"(I1\nI2\nI3\nd.", "no pickle, or a damaged one: items"),
        (b"c\n.", "no pickle, or a damaged one: "),
    ],
)  # fmt: skip
def test_hand_made_pickles(data, message):
    with pytest.raises(CheckpointError, match=message):
        pickles.arrays(data)


def test_containers_in_themselves_and_in_one_another_end():
    loop = [np.ones(2)]
    loop.append({"again": loop})
    assert len(pickles.arrays(pickle.dumps(loop))) == 1
    many = [np.ones(2)]
    for _ in range(30):
        many = [many, many]
    assert len(pickles.arrays(pickle.dumps(many))) == 1


# A tuple of 2**60 leaves: Python's own reader would hash it for ever as the key of a dict.
NESTED = b"I1\n" + b"".join(b"p%d\ng%d\n\x86" % (number, number) for number in range(60))
STATE = b"(I3\nX\x01\x00\x00\x00<NNNI8\nI8\nI0\ntb"


@pytest.mark.parametrize(
    "data",
    [
        b"}" + NESTED + b"I1\ns.",
        NESTED + b"X\x01\x00\x00\x00a\x93.",
        b"X\x01\x00\x00\x00a" + NESTED + b"\x93.",
        NESTED + b")R.",
        NESTED + b")b.",
        b"cnumpy\ndtype\n(" + NESTED + b"I0\nI1\ntR.",
        F8 + b"(I3\n" + NESTED + b"NNNI8\nI8\nI0\ntb.",
        F8 + b"(I3\nX\x01\x00\x00\x00<NN" + NESTED + b"I8\nI8\nI0\ntb.",
        F8 + b"(I3\nX\x01\x00\x00\x00<NNN" + NESTED + b"I8\nI0\ntb" + NESTED + b"b.",
        NDARRAY + b"(I1\n" + NESTED + F8 + STATE + b"I00\nC\x00tb.",
        NDARRAY + b"(I1\n)" + F8 + STATE + b"I00\n" + NESTED + b"tb.",
        NDARRAY + b"(I1\n)" + F8 + STATE + NESTED + b"C\x08" + bytes(8) + b"tb" + NESTED + b"b.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00a" + NESTED + b"tR.",
        b"c_codecs\nencode\n(" + NESTED + b"X\x06\x00\x00\x00latin1tR.",
        b"ccollections\nOrderedDict\n(](" + NESTED + b"I1\nlatR.",
        b"ccollections\nOrderedDict\n(" + NESTED + b"tR.",
        b"c__builtin__\nset\n(" + NESTED + b"I1\ntR.",
        NESTED + b"I1\na.",
        NESTED + b".",
        b"(" + NESTED + b"d.",
    ],
)
def test_nested_tuples_are_never_visited(data):
    with pytest.raises(CheckpointError, match="^(refused|no pickle, or a damaged one): "):
        pickles.arrays(data)


@pytest.mark.parametrize(
    "call",
    [
        b"c_codecs\nencode\n(g0\nX\x06\x00\x00\x00latin1tR",
        NDARRAY + b"(I1\n(I100000\nt" + F8.replace(b"f8", b"u1") + b"I00\ng0\ntb",
    ],
)
def test_no_call_multiplies_what_a_file_holds(call):
    data = b"X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"p0\n(" + call * 1000 + b"l."
    with pytest.raises(CheckpointError, match="refused: it uses the same data again and again"):
        pickles.arrays(data)


def assert_arrays_or_refused(data):
    try:
        found = pickles.arrays(data)
    except CheckpointError:
        return
    assert all(isinstance(array, np.ndarray) and array.dtype.kind in "biufcSU" for _, array in found)


@given(st.binary(max_size=200))
def test_noise_is_refused_in_one_way(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes in text
        assert_arrays_or_refused(data)


@given(st.data())
def test_a_damaged_pickle_gives_arrays_or_an_error(data):
    whole = bytearray(pickle.dumps({"W1": np.ones((2, 3)), "n": (1, "a")}, data.draw(st.sampled_from(PROTOCOLS))))
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_arrays_or_refused(bytes(whole))
