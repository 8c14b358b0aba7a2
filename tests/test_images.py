"""One image file: every mode, size and orientation, what is refused, and how samples are prepared."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import STROKES, on_nothing, on_paper, pen, photo
from PIL import Image

from fastnn import DataError, ImageError
from fastnn.datasets._form import Form, SampleShape
from fastnn.datasets._open import PIXEL_LIMIT, _simple_png, look_at, open_image
from fastnn.datasets.images import read_image

PLAIN, MNIST = Form(), Form("mnist")
GREY, COLOUR = SampleShape(3, 5, 1), SampleShape(3, 5, 3)
RAMP = (np.arange(15).reshape(3, 5) * 17).astype(np.uint8)


def png(image, kind="PNG", **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def read(image, shape=GREY, form=PLAIN, **options):
    return read_image(png(image, **options), shape, form)


# Plain images


def test_grey_and_colour():
    grey = Image.fromarray(RAMP)
    np.testing.assert_array_equal(read(grey)[..., 0], RAMP)
    np.testing.assert_array_equal(read(grey, COLOUR), np.repeat(RAMP[..., None], 3, 2))
    rgb = np.stack([RAMP, RAMP[::-1], 255 - RAMP], 2)
    np.testing.assert_array_equal(read(Image.fromarray(rgb), COLOUR), rgb)
    np.testing.assert_array_equal(read(Image.fromarray(rgb))[..., 0], np.asarray(Image.fromarray(rgb).convert("L")))


def with_transparency(mode):
    image = Image.new("RGBA", (5, 3), (0, 0, 0, 255))
    image.putpixel((1, 1), (0, 0, 0, 0))
    image.putpixel((2, 1), (0, 0, 0, 102))
    return image.convert(mode) if mode == "LA" else image


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_transparent_is_white(mode):
    got = read(with_transparency(mode))[..., 0]
    assert (got[1, 1], got[1, 2], got[0, 0]) == (255, 153, 0)


def test_a_transparent_colour_of_a_palette_is_white_and_the_others_are_looked_up():
    image = Image.new("P", (5, 3), 0)
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putpixel((4, 2), 1)
    np.testing.assert_array_equal(read(image, COLOUR)[2, 3:], [[10, 20, 30], [200, 100, 0]])
    np.testing.assert_array_equal(read(image, COLOUR, transparency=0)[2, 3:], [[255, 255, 255], [200, 100, 0]])


def test_more_than_8_bits():
    deep = Image.fromarray(RAMP.astype(np.uint16) * 257)
    assert deep.mode.startswith("I")
    np.testing.assert_array_equal(read(deep)[..., 0], RAMP)
    for white in (1.0, 255.0):
        floats = Image.fromarray(RAMP.astype(np.float32) / 255 * np.float32(white))
        np.testing.assert_array_equal(read(floats, kind="TIFF")[..., 0], RAMP)


def test_one_bit_and_cmyk():
    np.testing.assert_array_equal(read(Image.fromarray(RAMP > 100))[..., 0], np.where(RAMP > 100, 255, 0))
    cmyk = Image.fromarray(np.stack([RAMP] * 3, 2)).convert("CMYK")
    np.testing.assert_allclose(read(cmyk, kind="TIFF")[..., 0], RAMP, atol=1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_orientation_of_a_camera_is_respected(kind):
    upright = np.zeros((30, 50), np.uint8)
    upright[:10, :20] = 255
    exif = Image.Exif()
    exif[274] = 6  # the camera was turned: the file's rows are columns
    lying = Image.fromarray(upright).rotate(90, expand=True)
    got = read(lying, SampleShape(30, 50, 1), kind=kind, exif=exif)[..., 0]
    np.testing.assert_allclose(got > 128, upright > 128)


def test_resized_with_all_pixels_counted():
    fine = np.zeros((300, 500), np.uint8)
    fine[::2] = 255  # stripes that a sampling of single pixels would make black or white
    np.testing.assert_allclose(read(Image.fromarray(fine)), 127, atol=6)
    assert read(Image.fromarray(RAMP), SampleShape(7, 4, 1)).shape == (7, 4, 1)
    with pytest.raises(DataError, match="^image: is 3x5 pixels, others are 7x4: say which size all images shall have"):
        read_image(png(Image.fromarray(RAMP)), SampleShape(7, 4, 1), PLAIN, exact=True)


def test_a_large_jpeg_is_reduced_while_it_is_decoded():
    content = png(Image.new("RGB", (1600, 800), "red"), "JPEG")
    assert open_image(content, least=100).size == (200, 100)
    np.testing.assert_allclose(read_image(content, SampleShape(4, 4, 3), PLAIN), [[[254, 0, 0]] * 4] * 4, atol=2)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["L", "RGB"]), st.booleans())
def test_the_short_way_for_simple_png_files_gives_the_same_pixels(height, width, mode, compressed):
    shape = (height, width, 3)[: 2 + (mode == "RGB")]
    pixels = np.random.default_rng(height).integers(0, 256, shape).astype(np.uint8)
    content = png(Image.fromarray(pixels), compress_level=9 * compressed)
    np.testing.assert_array_equal(np.asarray(_simple_png(content)), pixels)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), pixels)


@pytest.mark.parametrize(
    "image",
    [Image.fromarray(RAMP).convert("P"), Image.fromarray(RAMP > 9), Image.fromarray(RAMP.astype(np.uint16)),
     Image.fromarray(RAMP).convert("RGBA")],
)  # fmt: skip
def test_other_png_files_go_the_long_way(image):
    assert _simple_png(png(image)) is None


# What is refused


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(ImageError, match=r"none\.png: cannot be read: No such file or directory$"):
        read_image(tmp_path / "none.png", GREY, PLAIN)
    with pytest.raises(ImageError, match=r": cannot be read: Is a directory$"):
        read_image(tmp_path, GREY, PLAIN)


@pytest.mark.parametrize("content", [b"", b"just text\n" * 99, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_a_text_file_called_png(tmp_path, content):
    path = tmp_path / "text.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"text\.png: not an image, or of an unknown format$"):
        read_image(path, GREY, PLAIN)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb(width, height, kind=0):
    """A PNG that says it has so many pixels."""
    head = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("width", "height"), [(20_000, 20_000), (9_000, 9_000), (PIXEL_LIMIT + 1, 1), (2**31 - 1, 2**31 - 1)]
)
@pytest.mark.parametrize("kind", [0, 2])
def test_too_large_images_are_refused_before_they_are_decoded(monkeypatch, width, height, kind):
    monkeypatch.setattr(Image, "frombytes", lambda *a: pytest.fail("decoded"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ImageError, match="^image: must have at most 80 million pixels to be decoded|^image: damaged"):
        read_image(bomb(width, height, kind), GREY, PLAIN)


def test_a_real_image_of_20000_by_20000(tmp_path):
    path = tmp_path / "huge.png"
    rows = zlib.compressobj()
    data = b"".join(rows.compress(bytes(20_001)) for _ in range(20_000)) + rows.flush()
    head = chunk(b"IHDR", struct.pack(">2I5B", 20_000, 20_000, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    with pytest.raises(ImageError, match=r"huge\.png: must have at most 80 million pixels to be decoded$"):
        read_image(path, GREY, PLAIN)


def test_compressed_text_in_a_png_does_not_fill_the_memory():
    pixels = png(Image.fromarray(RAMP))
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**27)))
    with pytest.raises(ImageError, match="^image: damaged image: "):
        read_image(pixels[:33] + text + pixels[33:], GREY, PLAIN)


KINDS = {
    kind: png(Image.fromarray((np.arange(3600) % 251).astype(np.uint8).reshape(40, 90)).convert(mode), kind)
    for kind, mode in [("PNG", "L"), ("PNG", "P"), ("JPEG", "RGB"), ("GIF", "P"), ("BMP", "RGB"), ("TIFF", "L"),
                       ("WEBP", "RGB"), ("PPM", "L"), ("TGA", "L"), ("ICO", "RGB")]
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_damage_is_an_image_error_or_another_picture(kind):
    content, rng = KINDS[kind], np.random.default_rng(0)
    for trial in range(150):
        damaged = bytearray(content)
        if trial % 3 == 0:
            del damaged[rng.integers(len(damaged)) :]
        for place in rng.integers(0, len(damaged) or 1, 1 + trial % 4):
            if damaged:
                damaged[place] = rng.integers(256)
        try:
            assert read_image(bytes(damaged), GREY, PLAIN).shape == (3, 5, 1)
        except ImageError as error:
            assert str(error).startswith("image: ")  # noqa: PT017


def test_a_png_cut_short():
    for content in (png(Image.fromarray(RAMP))[:-26], png(Image.fromarray(RAMP).convert("P"))[:-26]):
        with pytest.raises(ImageError, match="^image: damaged image: "):
            read_image(content, GREY, PLAIN)


# Folders of them


def test_most_images_decide_what_is_grey(tmp_path):
    def files(*images):
        paths = []
        for number, image in enumerate(images):
            paths.append(str(tmp_path / f"{number}.png"))
            image.save(paths[-1])
        return paths

    grey, red = Image.fromarray(RAMP), Image.new("RGB", (4, 2), "red")
    assert look_at(files(grey, grey.convert("RGB"), grey.convert("P"), red)) == (True, (3, 5))
    assert look_at(files(red, red.convert("P"), grey)) == (False, (2, 4))
    (tmp_path / "0.png").write_text("text")
    assert look_at([str(tmp_path / "0.png"), str(tmp_path / "2.png")]) == (True, (3, 5))
    assert look_at([str(tmp_path / "0.png")])[1] is None


# The form that a model keeps


def test_forms_come_back_from_metadata():
    for form in (PLAIN, MNIST, Form("mnist", 1.0)):
        assert Form.from_metadata(form.metadata()) == form


@pytest.mark.parametrize(
    "value", [None, "mnist", {}, {"form": "x"}, *({"form": "mnist", "box": box} for box in (0, 2, "1", float("nan")))]
)
def test_other_metadata_are_refused(value):
    with pytest.raises(ValueError, match="^images: must be {'form': 'plain' or 'mnist', 'box': 0..1}, got "):
        Form.from_metadata(value)


def test_the_images_that_a_model_takes():
    assert SampleShape.of((28, 30, 3)) == SampleShape(28, 30, 3)
    assert SampleShape.of((28, 30)) == SampleShape(28, 30, 1)
    assert SampleShape.of((784,)) == SampleShape(28, 28, 1)
    for shape in [(), (4,), (785,), (28, 28, 2), (1, 2, 3, 4)]:
        assert SampleShape.of(shape) is None


# Drawings

TWENTY_EIGHT = SampleShape(28, 28, 1)


def prepared(image, shape=TWENTY_EIGHT, form=MNIST):
    return read(image, shape, form)[..., 0].astype(float)


def assert_in_form(sample, side=20):
    rows, columns = np.flatnonzero(sample.max(1) > 20), np.flatnonzero(sample.max(0) > 20)
    size = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    assert side - 1 <= size <= side
    assert sample.max() > 250
    middle = [(sample.sum(1 - axis) * np.arange(sample.shape[axis])).sum() / sample.sum() for axis in (0, 1)]
    np.testing.assert_allclose(middle, np.array(sample.shape) / 2, atol=0.51)


def likeness(one, other):
    """Correlation of two samples, one of which may be moved by a pixel: the centre of mass is rounded."""
    moved = [np.roll(one, by, (0, 1)) for by in np.ndindex(3, 3)]
    return max(np.corrcoef(np.roll(a, -1, (0, 1)).reshape(-1), other.reshape(-1))[0, 1] for a in moved)


@pytest.mark.parametrize("digit", STROKES)
def test_the_form_does_not_depend_on_how_a_drawing_was_made(digit):
    base = prepared(on_paper(pen(digit, 14)))
    assert_in_form(base)
    mask = pen(digit, 14, (500, 400), (310, 190, 120, 160))
    for other in (
        on_paper(pen(digit, 14), ink=255, paper=0), on_nothing(pen(digit, 14)), on_nothing(pen(digit, 14), ink=255),
        on_paper(pen(digit, 14), ink=120, paper=190), on_paper(pen(digit, 14), ink=90, paper=20),
        on_paper(mask), photo(mask), on_paper(pen(digit, 4)), on_paper(pen(digit, 2), ink=200, paper=30),
    ):  # fmt: skip
        sample = prepared(other)
        assert_in_form(sample)
        assert likeness(sample, base) > 0.9


def test_strokes_become_neither_thin_nor_fat():
    areas = [(prepared(on_paper(pen(3, width))) > 128).sum() for width in (1, 4, 12, 24, 40)]
    assert min(areas) > 70
    assert max(areas) < 200


def test_other_canvases():
    for shape, form, side in [((8, 8), Form("mnist", 1.0), 8), ((32, 40), MNIST, round(32 * 20 / 28))]:
        sample = prepared(on_paper(pen(8, 14)), SampleShape(*shape, 1), form)
        rows = np.flatnonzero(sample.max(1) > 20)
        assert rows[-1] - rows[0] + 1 in (side - 1, side)
    colour = read(on_paper(pen(8, 14)), SampleShape(28, 28, 3), MNIST)
    np.testing.assert_array_equal(colour[..., 0], colour[..., 2])


def test_an_image_of_mnist_stays_as_it_is(mnist_folder):
    from fastnn import datasets

    pixels = (datasets.load_mnist(mnist_folder)[1][0][:200] * 255).astype(np.uint8)[..., 0]
    samples = [prepared(Image.fromarray(image)) for image in pixels]
    assert np.median([np.abs(sample - image).mean() for sample, image in zip(samples, pixels, strict=True)]) < 1
    assert min(likeness(sample, image) for sample, image in zip(samples, pixels, strict=True)) > 0.9


@pytest.mark.parametrize(
    "image", [Image.new("L", (50, 60), 200), Image.new("RGBA", (9, 9), (5, 5, 5, 0)), Image.new("1", (1, 1), 0),
              photo(Image.new("L", (200, 200), 0)).point(lambda value: 100)],
)  # fmt: skip
def test_an_empty_sheet(image):
    with pytest.raises(ImageError, match="^image: nothing is drawn in it: it has one colour only$"):
        read(image, TWENTY_EIGHT, MNIST)
