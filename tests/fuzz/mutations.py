"""Bytes that a program might be given instead of the right ones: a seed with some edits."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

# What breaks readers: separators, markup, tags, numbers at the edge of types, and text that is no text.
WORDS = [
    *(
        b"",
        b"\n",
        b"\n\n",
        b"\r",
        b"\r\n",
        b"\t",
        b" ",
        b"#",
        b"# ",
        b":",
        b"-",
        b"_",
        b'"',
        b"'",
        b"\\",
        b"/",
        b"|",
        b",",
    ),
    *(
        b"\x00",
        b"\x1b[2J",
        b"\x7f",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\xe2\x80\xa8",
        b"\xc2\xa0",
    ),
    *(
        b"O",
        b"B-",
        b"I-PER",
        b"E-PER",
        b"S-",
        b"B-X",
        b"L-LOC",
        b"U-LOC",
        b"M-LOC",
        b"-DOCSTART-",
        b"1-2",
        b"1.1",
        b"0",
    ),
    *(
        b"-1",
        b"1e999",
        b"NaN",
        b"null",
        b"true",
        b"no",
        b"{}",
        b"[]",
        b"{",
        b"]",
        b"&a",
        b"*a",
        b"!!python/name:os.x",
        b"<<",
    ),
    *(
        b"<",
        b">",
        b"&",
        b"&amp;",
        b"]]>",
        b"<!DOCTYPE x [<!ENTITY a 'b'>]>",
        b'from="0"',
        b'to="99999999999"',
        b"2147483648",
    ),
    *(
        b"18446744073709551616",
        b"../../x",
        b"/etc/passwd",
        b"PAR1",
        b"PK\x03\x04",
        b"\x1f\x8b",
        b"version https://git-lfs",
    ),
]
MOST = 6  # edits of one seed


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Draw one of the seeds and edit it: replace, repeat or remove stretches of it, or cut it off."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, MOST))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.sampled_from([0, 0, 1, 1, 2, 4, 16, 64])))
        what = draw(st.sampled_from("wwwwrbsx"))
        if what == "w":
            new = draw(st.sampled_from(WORDS))
        elif what == "r":
            new = data[start:stop] * draw(st.sampled_from([2, 3, 40]))
        elif what == "b":
            new = draw(st.binary(min_size=1, max_size=4))
        elif what == "s":
            other = draw(st.sampled_from(seeds))
            begin = draw(st.integers(0, len(other)))
            new = other[begin : begin + 80]
        else:
            new, stop = b"", len(data)
        data = data[:start] + new + data[stop:]
    return data
