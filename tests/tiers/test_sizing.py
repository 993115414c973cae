from __future__ import annotations

import sys

import numpy
import pandas
import polars
import torch
from PIL import Image

from infercache.tiers.sizing import size_of


def test_arrays_tensors_and_images_count_their_data() -> None:
    assert size_of(numpy.zeros(1000, numpy.float32)) == 4000 + 200
    assert size_of(torch.zeros(1000, dtype=torch.bfloat16)) == 2000 + 200
    assert size_of(Image.new("RGB", (10, 20))) == 600 + 200
    assert size_of(memoryview(b"x" * 500)) == 500 + 200


def test_a_view_counts_what_it_shows() -> None:
    base = numpy.zeros(1_000_000)
    assert size_of(base[:10]) == 80 + 200


def test_frames_count_their_columns() -> None:
    text = ["word" * 100] * 50
    assert size_of(pandas.DataFrame({"text": text})) > 20_000
    assert size_of(polars.DataFrame({"text": text})) >= 20_000


def test_containers_count_their_parts_each_once() -> None:
    part = "x" * 10_000
    once, twice = size_of([part]), size_of([part, part])
    assert sys.getsizeof(part) < once < twice < once + 100
    assert size_of({"a": numpy.zeros(100), "b": (numpy.ones(100), {1, 2})}) > 1600


def test_objects_count_their_attributes_and_circles_end() -> None:
    class Node:
        def __init__(self) -> None:
            self.payload = b"y" * 5000
            self.me = self

    assert size_of(Node()) > 5000


def test_huge_containers_are_extrapolated() -> None:
    many = list(range(10**6))
    estimate = size_of(many)
    exact = sys.getsizeof(many) + sum(map(sys.getsizeof, many))
    assert exact / 3 < estimate
