"""Images, tables and histograms among what `log()` is given."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import studbook
from studbook.logged_values import NotLoggable
from studbook.media_files import HISTOGRAM_TYPE, TABLE_TYPE, media_file
from studbook.png_writer import png_file
from studbook.run_figures import confusion_matrix_files
from studbook.sync import sync_pending

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.sdk.runs.loopback_state import Stored

numpy = pytest.importorskip("numpy")
images = pytest.importorskip("PIL.Image")

shapes = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([0, 1, 3, 4]))


def kept(stored: Stored, run: str, path: str) -> tuple[str, bytes]:
    """Media type and bytes of an artifact."""
    artifact = stored.artifacts[run, path]
    return artifact.media_type, (stored.blobs / artifact.digest[7:]).read_bytes()


def table(*arguments: Any) -> dict[str, Any]:
    content = json.loads(media_file("t", 0, studbook.Table(*arguments)).data)
    assert isinstance(content, dict)
    return content


def histogram(**arguments: Any) -> dict[str, Any]:
    content = json.loads(media_file("h", 0, studbook.Histogram(**arguments)).data)
    assert isinstance(content, dict)
    return content


def pixels(file: bytes) -> Any:
    return numpy.asarray(images.open(io.BytesIO(file)))


def test_numbers_and_media_in_one_call(online: Path, stored: Stored) -> None:
    with studbook.init("wine") as run:
        for _ in range(2):
            run.log(
                {
                    "loss": 0.5,
                    "val": {"sample": studbook.Image(numpy.zeros((2, 3), numpy.uint8))},
                    "worst": studbook.Table(["file", "error"], [["a.png", 0.25]]),
                    "weights": studbook.Histogram([1.0, 2.0, 3.0], bins=2),
                    "bare": images.new("RGB", (4, 2), "red"),
                }
            )
    paths = sorted(path for _, path in stored.artifacts if path.startswith("media/"))
    names = ["bare/{}.png", "val/sample/{}.png", "weights/{}.histogram.json", "worst/{}.table.json"]
    assert paths == [f"media/{name.format(f'{step:012d}')}" for name in names for step in range(2)]
    assert len(stored.points[run.name, "loss"]) == 2
    media_type, content = kept(stored, run.name, "media/worst/000000000001.table.json")
    assert media_type == TABLE_TYPE
    assert json.loads(content) == {
        "columns": [{"name": "file", "type": "text"}, {"name": "error", "type": "number"}],
        "row_count": 1,
        "rows": [["a.png", 0.25]],
    }
    assert kept(stored, run.name, "media/weights/000000000000.histogram.json")[0] == HISTOGRAM_TYPE
    assert kept(stored, run.name, "media/bare/000000000000.png")[0] == "image/png"


def test_media_are_on_disk_when_log_returns(offline: Path, stored: Stored) -> None:
    run = studbook.init("wine")
    picture = numpy.arange(12, dtype=numpy.uint8).reshape(2, 2, 3)
    run.log({"sample": studbook.Image(picture)}, step=7)
    picture[:] = 0
    run.finish()
    sync_pending()
    _, file = kept(stored, run.name, "media/sample/000000000007.png")
    assert pixels(file).tolist() == numpy.arange(12).reshape(2, 2, 3).tolist()


def test_figures_are_drawn(offline: Path) -> None:
    figures = pytest.importorskip("matplotlib.figure")
    figure = figures.Figure(figsize=(2, 1), dpi=50)
    file = media_file("loss", -3, figure)
    assert file.path == "media/loss/-00000000003.png"
    assert pixels(file.data).shape[:2] == (50, 100)


@given(shapes, st.randoms(use_true_random=False))
def test_arrays_become_the_same_pixels(shape: tuple[int, int, int], random: Any) -> None:
    full = shape if shape[2] else shape[:2]
    array = numpy.array(
        [random.randrange(256) for _ in range(math.prod(full))], numpy.uint8
    ).reshape(full)
    expected = array[:, :, 0] if shape[2] == 1 else array
    file = media_file("x", 0, studbook.Image(array))
    assert (pixels(file.data) == expected).all()
    as_floats = media_file("x", 0, studbook.Image(array / 255))
    assert (pixels(as_floats.data) == expected).all()
    without_pillow = png_file(expected.tobytes(), shape[1], shape[0], max(shape[2], 1))
    assert (pixels(without_pillow) == expected).all()


def test_floats_outside_the_range_are_shown_at_its_ends() -> None:
    array = numpy.array([[-1.0, 0.0, 0.5, 1.0, 7.0, math.nan, math.inf, -math.inf]])
    found = pixels(media_file("x", 0, studbook.Image(array)).data)
    assert found.tolist() == [[0, 0, 128, 255, 255, 0, 255, 0]]


class Tensor:
    """What a tensor of PyTorch has, as far as it is asked for; of a type that NumPy lacks."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self._is_wide = False

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def is_floating_point(self) -> bool:
        return bool(self._array.dtype.kind == "f")

    def float(self) -> Tensor:
        self._is_wide = True
        return self

    def numpy(self) -> Any:
        if not self._is_wide and self.is_floating_point():
            message = "Got unsupported ScalarType BFloat16"
            raise TypeError(message)
        return self._array


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_tensors_have_their_channels_first_or_last(dtype: str) -> None:
    array = numpy.arange(3 * 5 * 6).reshape(3, 5, 6).astype(dtype) / (1 if dtype == "uint8" else 89)
    array = array.astype(dtype)
    found = pixels(media_file("x", 0, studbook.Image(Tensor(array))).data)
    assert found.shape == (5, 6, 3)
    last = pixels(media_file("x", 0, studbook.Image(Tensor(array.transpose(1, 2, 0)))).data)
    assert (found == last).all()
    if dtype == "uint8":
        assert (found == array.transpose(1, 2, 0)).all()
    grey = pixels(media_file("x", 0, studbook.Image(Tensor(array[:1]))).data)
    assert (grey == found[:, :, 0]).all()
    assert histogram(values=Tensor(array))["count"] == array.size


def test_what_is_no_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    long = tmp_path / "long.png"
    long.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    monkeypatch.setenv("STUDBOOK_MEDIA_BYTES", "1000")
    for path in (pipe, tmp_path, long, "/dev/zero"):
        with pytest.raises(NotLoggable, match="is no file of at most 1000 bytes"):
            media_file("x", 0, studbook.Image(path))


@pytest.mark.parametrize("classes", [0, 1, 2, 30, 31, 300])
def test_confusion_matrices_of_any_size_are_drawn(classes: int) -> None:
    pytest.importorskip("matplotlib")
    labels = [f"a ${number}^" * 20 for number in range(classes)]
    (_, data), *drawing = confusion_matrix_files(labels, labels, None, "confusion_matrix")
    counts = json.loads(data)["counts"]
    assert [line[place] for place, line in enumerate(counts)] == [1] * classes
    assert len(drawing) == (1 if classes else 0)
    for path, file in drawing:
        assert path == "confusion_matrix.png"
        assert max(pixels(file).shape) <= 2100


def test_what_are_no_classes_is_told() -> None:
    numbers = [number / 7 for number in range(2001)]
    for wrong in (numbers, [[0.1, 0.9]]):
        with pytest.raises(ValueError, match=r"Classes are names|one class for each"):
            list(confusion_matrix_files(wrong, wrong, None, "x"))


def test_files_are_kept_byte_by_byte(tmp_path: Path) -> None:
    target = io.BytesIO()
    images.new("L", (2, 2)).save(target, format="JPEG")
    path = tmp_path / "picture"
    path.write_bytes(target.getvalue())
    for given_as in (path, str(path), target.getvalue()):
        file = media_file("x", 0, studbook.Image(given_as))
        assert (file.path[-4:], file.media_type) == (".jpg", "image/jpeg")
        assert file.data == target.getvalue()


@pytest.mark.parametrize(
    "value",
    [
        studbook.Image(numpy.zeros((2, 2, 2))),
        studbook.Image(numpy.zeros((0, 2))),
        studbook.Image(numpy.array([["a"]])),
        studbook.Image(b"<svg/>"),
        studbook.Image("/nonexistent/picture.png"),
        studbook.Image(7),
        studbook.Table(["a"], [[1, 2]]),
        studbook.Table(7),
        studbook.Histogram(),
        studbook.Histogram(["high"]),
        studbook.Histogram(counts=[1], edges=[1]),
        studbook.Histogram(counts=[1], edges=[2, 1]),
        studbook.Histogram(counts=[math.nan], edges=[0, 1]),
        studbook.Histogram([1], bins=0),
    ],
)
def test_what_cannot_be_kept_is_left_out_with_a_warning(
    offline: Path, caplog: pytest.LogCaptureFixture, value: Any
) -> None:
    with pytest.raises(NotLoggable):
        media_file("x", 0, value)
    with studbook.init("wine") as run:
        run.log({"x": value})
    assert any("x is " in message for message in caplog.messages)


@pytest.mark.parametrize("key", ["../x", "/x", "a//b", "a\\b", "x" * 250 + "/" + "é" * 5])
def test_keys_never_lead_out_of_the_folder(key: str) -> None:
    try:
        path = media_file(key, 0, studbook.Histogram([1])).path
    except NotLoggable:
        return
    assert ".." not in path.split("/")
    assert path.startswith("media/")


def test_larger_images_are_made_smaller(
    offline: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    figures = pytest.importorskip("matplotlib.figure")
    monkeypatch.setenv("STUDBOOK_IMAGE_PIXELS", "100")
    large = (
        numpy.zeros((30, 20), numpy.uint8),
        images.new("RGB", (30, 20)),
        figures.Figure(figsize=(3, 2), dpi=10),
    )
    for value in large:
        file = media_file("x", 0, studbook.Image(value))
        assert 20 <= math.prod(pixels(file.data).shape[:2]) <= 110
        assert "made smaller" in file.remarks[0]
    with studbook.init("wine") as run:
        run.log({"x": studbook.Image(large[0])})
    assert sum("STUDBOOK_IMAGE_PIXELS" in message for message in caplog.messages) == 1


def test_longer_tables_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDBOOK_TABLE_ROWS", "2")
    file = media_file("t", 0, studbook.Table(["a"], [[1], [2], [3]]))
    assert json.loads(file.data)["rows"] == [[1], [2]]
    assert json.loads(file.data)["row_count"] == 3
    assert "STUDBOOK_TABLE_ROWS" in file.remarks[0]


def test_files_beyond_the_limit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDBOOK_MEDIA_BYTES", "50")
    with pytest.raises(NotLoggable, match="STUDBOOK_MEDIA_BYTES"):
        media_file("t", 0, studbook.Table(["a"], [["long" * 20]]))


def test_cells_keep_what_json_lacks() -> None:
    cells = [
        [math.nan, math.inf, -math.inf, None, True, 2**70, "x", Decimal("0.5"), Fraction(1, 4)],
        [numpy.float32(0.5), numpy.int64(2), 1.5, numpy.nan, False, 1, "\ud800", [1], b"y"],
    ]
    found = table(list("abcdefghi"), cells)
    assert found["rows"][0] == [
        {"number": "NaN"},
        {"number": "Infinity"},
        {"number": "-Infinity"},
        None,
        True,
        2**70,
        "x",
        0.5,
        0.25,
    ]
    assert found["rows"][1] == [0.5, 2, 1.5, {"number": "NaN"}, False, 1, "?", "[1]", "b'y'"]
    kinds = [column["type"] for column in found["columns"]]
    assert kinds == [
        "number",
        "number",
        "number",
        "number",
        "boolean",
        "integer",
        "text",
        "mixed",
        "mixed",
    ]


def test_frames_and_mappings_are_tables() -> None:
    pandas = pytest.importorskip("pandas")
    expected = [[1, "x"], [2, None]]
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", None]})
    found = [table(frame), table([{"a": 1, "b": "x"}, {"a": 2}]), table(["a", "b"], expected)]
    if "polars" in sys.modules or _installed("polars"):
        polars = pytest.importorskip("polars")
        found.append(table(polars.DataFrame({"a": [1, 2], "b": ["x", None]})))
    for content in found:
        assert content["rows"][0] == expected[0]
        assert [column["name"] for column in content["columns"]] == ["a", "b"]


def _installed(name: str) -> bool:
    from importlib.util import find_spec  # noqa: PLC0415

    return find_spec(name) is not None


floats = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(floats, max_size=50), st.integers(1, 9))
@example([sys.float_info.max] * 3, 1)
@example([-sys.float_info.max], 1)
@example([5e-324] * 2, 1)
def test_every_value_is_counted_once(values: list[float], bins: int) -> None:
    finite = [value for value in values if math.isfinite(value)]
    for given_as in (values, numpy.array(values, dtype=float)):
        found = histogram(values=given_as, bins=bins)
        assert sum(found["counts"]) == found["count"] == len(finite)
        assert found["nan_count"] == sum(map(math.isnan, values))
        assert found["count"] + found["nan_count"] + found["infinite_count"] == len(values)
        assert len(found["edges"]) == len(found["counts"]) + 1 <= bins + 1
        assert sorted(set(found["edges"])) == found["edges"]
        if finite:
            assert found["edges"][0] <= min(finite) == found["min"]
            assert found["edges"][-1] >= max(finite) == found["max"]
            assert found["min"] <= found["mean"] <= found["max"]


def test_counts_can_be_given() -> None:
    found = histogram(counts=numpy.array([1, 2]), edges=[0.0, 0.5, 1.0])
    assert found == {"edges": [0.0, 0.5, 1.0], "counts": [1, 2], "count": 3}
