"""Files of Programs: written whole or not at all, of all versions, damaged."""

import base64
import json
import math
import pickle
import random
import zlib

import numpy as np
import pytest

import pygrad
from pygrad import Program
from pygrad.checkpoint import unpack
from support import live_nodes
from support.effort import share
from support.hostile import damaged
from support.saved import ARGUMENTS, dumps, edited, everything, load, packed, unpickled


def test_a_file_is_written_whole_or_not_at_all(small, tmp_path, monkeypatch):
    path = tmp_path / "f.npz"
    small.save(path)
    whole = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *names: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        small.save(path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [whole]
    with pytest.raises(FileNotFoundError):
        Program.load(tmp_path / "nothing.npz")


@pytest.mark.parametrize("key", [(1, 2), b"x", 1j])
def test_a_key_that_json_cannot_hold_is_refused(key):
    f = pygrad.compile(lambda x: {key: x}, 1.0)
    assert f(2.0) == {key: 2.0}
    with pytest.raises(TypeError, match="keys that are strings, numbers or None, got "):
        pickle.dumps(f)


def test_a_file_of_another_kind_is_refused(tmp_path):
    pygrad.save(tmp_path / "state", {"w": 1.0})
    with pytest.raises(ValueError, match="not a Program that pygrad saved: it has no description"):
        Program.load(tmp_path / "state")
    with pytest.raises(ValueError, match="a pickled Program is damaged"):
        unpickled(b"")


def test_a_file_from_a_newer_version_is_refused_and_says_so(small, tmp_path):
    newer = {"description": edited(small, format=3, pygrad="9.1")["description"], "more": np.ones(1)}
    with pytest.raises(ValueError, match=r"f' was written by pygrad 9\.1, which pygrad .* cannot read: upgrade"):
        load(tmp_path / "f", packed(newer))
    with pytest.raises(ValueError, match=r"was written by pygrad 9\.1 with the op 'ERF', which pygrad"):
        load(tmp_path / "f", packed(edited(small, pygrad="9.1", ops=["ADD", "ERF"])))


def test_a_damaged_file_is_refused_or_gives_the_same_program(small):
    whole = dumps(small)
    expected = everything(small, *ARGUMENTS)
    refused, before = 0, live_nodes()
    for data in damaged(whole, random.Random(0), 1000):
        try:
            found = unpickled(data)
        except ValueError as error:
            assert "a pickled Program is damaged, or not a Program that pygrad saved: " in str(error)  # noqa: PT017
            refused += 1
        else:
            assert everything(found, *ARGUMENTS) == expected
            del found
    assert refused > share(len(whole))
    assert live_nodes() == before


FIRST = (  # a file of pygrad 0.1.0, compressed, in base 85
    "c-qZY&1(}u6yME96Vp$%>Ol{25u%uuG%c}|LK<uYN!zU2Xr-"
    "32O*YM9vI+ZPEioW?>7j>$mkNpq;<*L=13U>m>7^nl<mj>J!HZJg+nsGQ+g4h;h%ZdueEoLj_h#OE!>8PyF2<Cz%=*pvvrQsCrjsdG)NZ*l&oU"
    "j%GMQxQ$77jM{x-|pW2&K?sAiSWKrr+`?+Jy2p?q1<6hWRYD>)JSuLwm|gnqRkR77Z>kM@NxgoCx<-"
    "%G%2hzG>y@v&?Z!!)_vO)SGxgrXl`1S~>cAS76H>SRj&Pjm+LzJEmr_rOANL2*OzK=Io8P>vAY3<W_gP>@_J=nhgp3ffQVouH3Hq0RF0(ZpJ#S"
    "!VuMvuy5D7(y4#1y_Obk#;-iHc~%EG|CC6pWI=V)r<0HYep-WC0mwNO^~&NIl*AQe_!V5J*;)iThkyzrt%Nbw32J9KP_6#=+(Mb(YHx0l8K8>o"
    "Vf#}PBok%P2}}jZ`>l{2O>&&Zi~eNnYG}^%{@E|H*s2;!IyVWepw7!fPq*POX7hq*gjdroVj2w5{_8H$h(8pnataQ#i|WhRRl#SiJGWv@me8sS"
    "DbL1m{X3k5w|;zsXK_SlkxX)n(wtY-"
    "=1201HiW^m89)6Tq5(9oH)ZiXKrGn&|F@9`f=Lg(hgjV9ZD5VD$5q34VIXTbs+Wk#`+IQDNyBLm6D)w1HqnfkgLqkDnbq#T%^0FJHkPi4A&1k@"
    "{*!z*Z~h2Xisv9;bCl!W=2r)>08O`SV>OssIHFjnQ>zvaXm4b95)9qr^jxLC&r9{k#sth;khZO3d*c*_%439%1LrgypPqXS~ytciju0C0|s-"
    "fM$HjTuM|bw&{WO%!B-"
    "Vg)r*L%aycn$d}5NDRqp7KNIr)DxxC2jvB2KnkCFv&2B#GiQOM!8qtMD0#O&Sayd+B+PR*O=#mz}t0rCX&L~4ABb#=MvSK=}WQoe?Z_0YH<<jr"
    "UY;Y+MeUKU;o^a1{b-"
    "5~f%*&Xr~R+`xjf*IV}S}O(FgfK?sb2}8X<RVFf%@lMUJg6aO+JTsr7D(ptQ^4mCHmw|GM`0$gcG^Or1mN137wkxkwksr-"
    "wo%ASkT&VqYsX^bS|YJ2Kw(30lG}02j>9N{?vJIN!hHvvEoSg3FXnGpAizYx?B|S?egiWr+e-"
)


def test_a_file_of_the_first_format_can_still_be_read(tmp_path):
    f = load(tmp_path / "f", zlib.decompress(base64.b85decode(FIRST)))
    assert repr(f) == "<Program of first: 4 inputs, 6 parameters, 24 instructions>"
    value, (x,) = f(2, [np.array([0.3, -0.7]), (0.1,)])["größe"]
    assert math.isclose(value, (0.5 * 0.3 - 0.25 * 0.7) ** 2 + 3 * math.exp(0.1), rel_tol=1e-15)
    assert x.tolist() == [0.3, -0.7]
    assert f.parameters.data.tolist() == [1.0, 2.0, 3.0, 4.0, 0.5, 0.25]
    assert f.threads == 2


def test_a_first_version_s_list_of_disabled_optimizations_is_ignored(small, tmp_path):
    assert "without" not in json.loads(unpack(dumps(small))["description"].tobytes())
    f = load(tmp_path / "f", packed(edited(small, without=63)))
    assert everything(f, *ARGUMENTS) == everything(small, *ARGUMENTS)
