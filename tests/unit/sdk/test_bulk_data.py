"""The short way of messages with bytes of files leads to the same place as the generated code."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from studbook import bulk_data
from studbook.registry.v1.serving_service_pb2 import FetchArtifactsResponse
from studbook.registry.v1.version_pb2 import ModelFile
from studbook.tracking.v1.artifact_pb2 import Artifact
from studbook.tracking.v1.artifact_service_pb2 import (
    DownloadResponse,
    UploadHeader,
    UploadRequest,
)

if TYPE_CHECKING:
    from pathlib import Path

GENERATED = (UploadRequest, DownloadResponse, FetchArtifactsResponse)
SIZES = st.one_of(st.integers(0, 300), st.sampled_from([127, 128, 16_383, 16_384, 2_097_152]))


@pytest.mark.parametrize("generated", GENERATED)
@given(size=SIZES)
def test_a_message_with_data_alone_is_encoded_as_the_generated_code_does(
    generated: Any, size: int
) -> None:
    data = os.urandom(size)
    wire = generated(data=data).SerializeToString() if size else b"\x12\x00"
    assert bulk_data.beginning(size) + data == wire
    read = bulk_data.reader(generated)(wire)
    assert isinstance(read, bulk_data.BulkData)
    assert read.data == data
    assert bulk_data.write(read) == wire


def _decoded(read: Any, wire: bytes) -> Any:
    try:
        return read(wire)
    except DecodeError:
        return None


def _as_generated(generated: Any, message: Any) -> Any:
    if isinstance(message, bulk_data.BulkData):
        return generated(data=bytes(message.data))
    return message


_PIECES = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda data: UploadRequest(data=data).SerializeToString(), st.binary(max_size=200)),
    st.builds(
        lambda run: UploadRequest(header=UploadHeader(run=run)).SerializeToString(),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    ),
    st.just(b"\x12"),
    st.just(b"\x80"),
    st.just(b"\x82\x80\x00"),
)


@pytest.mark.parametrize("generated", GENERATED)
@example(parts=[b"\x12\x83\x00abc"])  # a length written longer than need be
@example(parts=[b"\x12\x83\x80\x80\x80\x00abc"])
@example(parts=[b"\x12\x83\x80\x80\x80\x80\x00abc"])
@example(parts=[b"\x12\x83\x80\x80\x80\x10abc"])  # one beyond 32 bits
@example(parts=[b"\x12\x01a\x12\x01b"])  # the last one counts
@example(parts=[b"\x12\x01a\x18\x01"])  # a field that nobody knows
@given(parts=st.lists(_PIECES, max_size=3))
def test_any_bytes_mean_what_they_mean_to_the_generated_code(
    generated: Any, parts: list[bytes]
) -> None:
    wire = b"".join(parts)
    expected = _decoded(generated.FromString, wire)
    found = _as_generated(generated, _decoded(bulk_data.reader(generated), wire))
    if expected is None:
        assert found is None
    else:
        # Fields that nobody knows may be dropped or kept.
        expected.DiscardUnknownFields()
        assert found is not None
        found.DiscardUnknownFields()
        assert found == expected


def test_messages_with_more_than_data_go_through_the_generated_code() -> None:
    first = DownloadResponse(artifact=Artifact(path="a"), data=b"xyz")
    wire = bulk_data.write(first)
    assert bulk_data.reader(DownloadResponse)(wire) == first
    file = FetchArtifactsResponse(file=ModelFile(path="a"))
    assert bulk_data.reader(FetchArtifactsResponse)(bulk_data.write(file)) == file


def test_other_fields_of_a_message_with_data_are_unset() -> None:
    read = bulk_data.reader(UploadRequest)(UploadRequest(data=b"x").SerializeToString())
    assert read.header.run == ""


@given(length=st.integers(0, 400), offset=st.integers(0, 400), size=st.integers(1, 400))
def test_a_piece_of_a_file_ends_where_the_file_ends(
    tmp_path_factory: pytest.TempPathFactory, length: int, offset: int, size: int
) -> None:
    content = os.urandom(length)
    path: Path = tmp_path_factory.getbasetemp() / "piece.bin"
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        piece = bulk_data.from_file(descriptor, offset, size)
    finally:
        os.close(descriptor)
    assert piece.data == content[offset : offset + size]
    if piece.data:
        assert bulk_data.write(piece) == UploadRequest(data=bytes(piece.data)).SerializeToString()
