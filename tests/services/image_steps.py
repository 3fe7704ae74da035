"""What tests of images share."""

from __future__ import annotations

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.images import NewImage
from hawkfish.plugins.compute import HostStorage
from tests.support.installation import KIB


def content(installation, size=256 * KIB) -> bytes:
    """Bytes that no other test has."""
    return (installation.name("content").encode() + b" ") * (size // 16 // 4) + bytes(size // 4)


def add(installation, name=None, **options):
    new = NewImage(name=name or installation.name("image"), **options)
    return installation.application.images.add(SYSTEM_ACTOR, new)


def added(installation, **options):
    accepted = add(installation, **options)
    if accepted.task is not None:
        installation.done(accepted)
    return installation.application.images.get(SYSTEM_ACTOR, accepted.subject_id)


def upload(installation, body, *, announced=None, digest=None, pieces=3):
    image = added(installation, digest=digest)
    size = len(body) // pieces + 1
    with installation.application.images.begin_upload(SYSTEM_ACTOR, image.id, announced) as running:
        for start in range(0, len(body), size):
            running.write(body[start : start + size])
        return running.finish()


def store(installation):
    """Digests of the whole contents, and how many are on their way."""
    folder = installation.application.settings.image_store
    whole = {path.name for path in folder.glob("sha256/*/*")}
    return whole, [path.name for path in folder.glob("partial/*")]


def prune(installation, **options):
    installation.done(installation.application.images.prune(SYSTEM_ACTOR, **options))


def disk_bytes(installation, system, number=0) -> bytes:
    driver = installation.application.drivers.driver(system.host_id)
    assert isinstance(driver, HostStorage)
    disk = system.disks[number]
    return b"".join(driver.download_volume(f"hawkfish-{disk.pool_id}", disk.volume_name))


def copies(installation, host="rack"):
    return {name for name in installation.volumes(host) if name.startswith("image-")}
