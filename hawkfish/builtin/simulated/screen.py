"""The picture on a simulated machine's screen."""

from __future__ import annotations

import io
from functools import cache

from PIL import Image, ImageDraw, ImageFont

_SIZE = (720, 400)
_BACKGROUND, _INK, _ACCENT = (12, 18, 30), (200, 208, 220), (255, 176, 0)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def picture(name: str, state: str, lines: list[str]) -> bytes:
    """A PNG that says whose screen it is, that it is SIMULATED, and what the machine printed last."""
    image = Image.new("RGB", _SIZE, _BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, _SIZE[0], 6), fill=_ACCENT)
    draw.text((24, 24), "SIMULATED", font=_font(34), fill=_ACCENT)
    draw.text((24, 72), name[:40], font=_font(26), fill=_INK)
    draw.text((24, 108), state, font=_font(16), fill=_INK)
    for row, line in enumerate(lines[-12:]):
        draw.text((24, 144 + row * 20), line[:100], font=_font(13), fill=_INK)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
