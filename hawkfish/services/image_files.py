"""Local image files that disks are made from: only in allowed folders, and only what they say they are by their bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hawkfish.config import Settings
from hawkfish.domain.storage import ImageFacts
from hawkfish.errors import HawkFishError, PropertyConflict
from hawkfish.plugins.files import inspect_image


@dataclass(frozen=True)
class LocalImage:
    """An image file that may be used."""

    path: Path
    facts: ImageFacts


def find_image(settings: Settings, given: str, *, property_path: str) -> LocalImage:
    """Finds and inspects an image.

    Args:
        settings: Says which folders images may be in.
        given: Name within the first such folder, or an absolute path within any of them.
        property_path: The property that named it, for errors.

    Raises:
        PropertyConflict: It is not there, is outside the folders, or is not an image that can be used.
    """
    folders = [folder.resolve() for folder in settings.image_folders]

    def refuse(reason: str) -> PropertyConflict:
        return PropertyConflict(f"The image {given!r} cannot be used: {reason}", property=property_path, value=given)

    try:
        path = (folders[0] / given).resolve()
        is_file = path.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        raise refuse(f"that is no path of a file ({error}).") from error
    if not any(path.is_relative_to(folder) for folder in folders):
        shown = ", ".join(str(folder) for folder in folders)
        raise refuse(f"images must lie in {shown}. Copy it there, or set HF_IMAGE_DIRS.")
    if not is_file:
        raise refuse("there is no such file.")
    try:
        return LocalImage(path, inspect_image(path))
    except HawkFishError as error:
        raise refuse(error.message) from error
    except OSError as error:
        raise refuse(f"it cannot be read ({error.strerror}).") from error
