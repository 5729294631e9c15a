"""Pictures: paint one; make a thumbnail and a fingerprint of one. Plain functions, run by forq."""

import cmath
import colorsys
import hashlib
import io
from dataclasses import dataclass

from PIL import Image, ImageOps

_ITERATIONS = 60
_OUTSIDE = 4.0


@dataclass(frozen=True)
class Thumbnail:
    """A small JPEG of a picture, and what tells whether two pictures are the same or look alike."""

    jpeg: bytes
    width: int
    height: int
    sha256: str
    #: 64 bits: two pictures that look alike differ in few of them.
    likeness: int


def paint(number: int, width: int = 480, height: int = 320) -> bytes:
    """Paint the Julia set of a number and return it as a JPEG: a second or so of real work."""
    centre = cmath.rect(0.7885, number)
    palette = [_colour(count) for count in range(_ITERATIONS + 1)]
    picture = Image.new("RGB", (width, height))
    picture.putdata(
        [
            palette[_escape(complex((x / width - 0.5) * 3, (y / height - 0.5) * 2), centre)]
            for y in range(height)
            for x in range(width)
        ]
    )
    return _jpeg(picture)


def thumbnail(picture: bytes, size: int = 128) -> Thumbnail:
    """Shrink a picture, whatever its format, into a square of `size` pixels."""
    with Image.open(io.BytesIO(picture)) as opened:
        small = ImageOps.exif_transpose(opened).convert("RGB")
    small.thumbnail((size, size))
    grey = small.convert("L").resize((9, 8))
    brightness = list(grey.tobytes())
    rising = (
        brightness[row * 9 + column] < brightness[row * 9 + column + 1]
        for row in range(8)
        for column in range(8)
    )
    return Thumbnail(
        jpeg=_jpeg(small),
        width=small.width,
        height=small.height,
        sha256=hashlib.sha256(picture).hexdigest(),
        likeness=sum(bit << place for place, bit in enumerate(rising)),
    )


def _escape(point: complex, centre: complex) -> int:
    """Return after how many steps a point has left the circle."""
    for count in range(_ITERATIONS):
        if point.real * point.real + point.imag * point.imag > _OUTSIDE:
            return count
        point = point * point + centre
    return _ITERATIONS


def _colour(count: int) -> tuple[int, int, int]:
    """Return the colour for a number of steps: black for points that never leave."""
    if count == _ITERATIONS:
        return 0, 0, 0
    red, green, blue = colorsys.hsv_to_rgb(0.6 + count / _ITERATIONS, 0.7, 1)
    return int(red * 255), int(green * 255), int(blue * 255)


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()
