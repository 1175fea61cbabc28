"""Pictures small enough to embed in an artifact as data URLs: the Prefect UI shows images only by URL."""

import base64
import io

MAX_SIDE_PX = 400
JPEG_QUALITY = 80


def data_url(picture: bytes) -> str:
    """A PNG or JPEG, shrunk, as a "data:image/jpeg;base64,..." URL of a few tens of kB."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as image:
        small = image.convert("RGB")
    small.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def svg_url(picture: bytes) -> str:
    """An SVG, unchanged, as a data URL."""
    return "data:image/svg+xml;base64," + base64.b64encode(picture).decode()
