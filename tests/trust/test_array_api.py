"""How much of the Python array API standard NumPy's functions do on Arrays: https://data-apis.org/array-api/2023.12."""

import pytest

from pygrad.array import protocol
from support import figures

STANDARD = {
    "functions": """
        abs acos acosh add all any arange argmax argmin argsort asarray asin asinh astype atan atan2 atanh
        bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor broadcast_arrays
        broadcast_to can_cast ceil clip concat conj copysign cos cosh cumulative_sum divide empty empty_like equal
        exp expand_dims expm1 eye finfo flip floor floor_divide from_dlpack full full_like greater greater_equal
        hypot iinfo imag isdtype isfinite isinf isnan less less_equal linspace log log10 log1p log2 logaddexp
        logical_and logical_not logical_or logical_xor matmul matrix_transpose max maximum mean meshgrid min minimum
        moveaxis multiply negative nonzero not_equal ones ones_like permute_dims positive pow prod real remainder
        repeat reshape result_type roll round searchsorted sign signbit sin sinh sort sqrt square squeeze stack std
        subtract sum take tan tanh tensordot tile tril triu trunc unique_all unique_counts unique_inverse
        unique_values unstack var vecdot where zeros zeros_like
    """,
    "linalg": """
        cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank matrix_transpose outer
        pinv qr slogdet solve svd svdvals tensordot trace vecdot vector_norm
    """,
    "fft": "fft fftfreq fftn fftshift hfft ifft ifftn ifftshift ihfft irfft irfftn rfft rfftfreq rfftn",
}
# What does not take Arrays: it has no op here, is of integers, or takes no array.
MISSING = {
    "functions": """
        acos acosh asin asinh atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or
        bitwise_right_shift bitwise_xor copysign empty expm1 finfo floor_divide from_dlpack iinfo isdtype linspace log1p
        remainder sinh
    """,
    "linalg": "cholesky det eigh eigvalsh inv matrix_rank pinv qr slogdet solve svd svdvals",
    "fft": "fft fftfreq fftn hfft ifft ifftn ihfft irfft irfftn rfft rfftfreq rfftn",
}


@pytest.mark.parametrize("part", STANDARD)
def test_numpy_s_functions_of_the_standard_take_arrays(part):
    prefix = "" if part == "functions" else f"{part}."
    tables = {*protocol.FUNCTIONS, *protocol.UFUNCS, *protocol.BY_NUMBER, *" ".join(protocol.MOVES.values()).split()}
    there = {protocol.find(name) for name in tables}
    names = STANDARD[part].split()
    missing = [name for name in names if protocol.find(prefix + name) not in there]
    assert missing == MISSING[part].split()
    what = part if part == "functions" else f"extension {part}"
    figures.note(
        f"the array API standard 2023.12, its {what}: taken by Arrays", f"{len(names) - len(missing)} of {len(names)}"
    )
