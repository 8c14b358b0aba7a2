"""Kernels of the augmentation: the oracle, both backends, any thread count; and what the random numbers are like."""

import numpy as np
import pytest
import threads
from backends import BACKENDS
from checks import augment
from checks.common import blank, run
from checks.memory import guarded_end, guarded_start
from hypothesis import given, settings

from fastnn import kernels
from fastnn._backend import operations
from fastnn.reference.augment import CONSTANT, EDGE, REFLECT

EXAMPLES = {
    augment.check_random_affine: augment.AFFINE_EXAMPLES,
    augment.check_elastic_field: augment.FIELD_EXAMPLES,
    augment.check_warp: augment.WARP_EXAMPLES,
    augment.check_cutout: augment.CUTOUT_EXAMPLES,
    augment.check_mixup: augment.MIXUP_EXAMPLES,
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize(("check", "case"), [(check, case) for check, cases in EXAMPLES.items() for case in cases])
def test_awkward_cases(check, backend, case, place):
    check(operations(backend), case, place)


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=augment.affine_cases())
def test_any_affine_map(backend, case):
    augment.check_random_affine(operations(backend), case)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=25)  # the oracle's loops take a tenth of a second
@given(case=augment.field_cases())
def test_any_field(backend, case):
    augment.check_elastic_field(operations(backend), case)


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=augment.warp_cases())
def test_any_warp(backend, case):
    augment.check_warp(operations(backend), case)


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=augment.cutout_cases())
def test_any_cutout(backend, case):
    augment.check_cutout(operations(backend), case)


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=augment.mixup_cases())
def test_any_mixup(backend, case):
    augment.check_mixup(operations(backend), case)
