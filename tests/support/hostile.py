"""Damaged and malicious files."""

import io
import struct
import warnings
import zipfile

import numpy as np

from support.effort import share


def damaged(whole, rng, count):
    """The file cut off at every length, with each bit flipped, and `count` times with several: or a share of these."""
    for length in rng.sample(range(len(whole)), share(len(whole))):
        yield whole[:length]
    bits = range(8 * len(whole))
    single = ([bit] for bit in rng.sample(bits, share(len(bits))))
    for at in [*single, *(rng.sample(bits, rng.choice([2, 3, 10])) for _ in range(share(count)))]:
        data = bytearray(whole)
        for bit in at:
            data[bit // 8] ^= 1 << bit % 8
        yield bytes(data)


def npy(descr, shape, data):
    """A .npy file whose header may not match its data."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + data


def zipped(members, compression=zipfile.ZIP_STORED):
    """A zip file with these members."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as archive:
        warnings.simplefilter("ignore")  # about duplicate names
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, data)
    return file.getvalue()


def entries(names, size):
    """A zip file whose directory has many entries for the same or overlapping bytes."""
    data = npy("|u1", (size,), bytes(size))
    headers, directory = bytearray(), bytearray()
    for name in names:
        offset = len(headers)
        headers += struct.pack("<4s5H3L2H", b"PK\3\4", 20, *[0] * 7, len(name), 0) + name.encode()
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 20, 20, *[0] * 5, len(data), len(data), len(name), *[0] * 5, offset
        )
        directory += name.encode()
    count, at = len(names), len(headers) + len(data)
    return headers + data + directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), at, 0)
