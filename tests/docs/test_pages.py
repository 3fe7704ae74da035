"""Every page says what is so: each of its code blocks is run, or names the reason why it is not."""

import hashlib

import pytest

from tests.api.live import free_port
from tests.docs.blocks import PAGES, blocks_of
from tests.docs.reader import NEVER_RUN, Reader
from tests.support.file_server import FileServer, Plan
from tests.support.installation import empty_qcow2
from tests.support.iso import iso

ON_POSTGRESQL = "docs/how-to/postgresql.md"
WITH_AN_ISO = {"README.md", "docs/how-to/virtual-media.md"}
ISO_URL = "https://files.example/installer.iso"
WITH_A_RECEIVER = "docs/how-to/events.md"
RECEIVER = "127.0.0.1:8888"
WITH_AN_IMAGE = "docs/how-to/images-and-profiles.md"
IMAGE_URL = "https://images.example/debian-12.qcow2"

NOT_RUN = [
    ("README.md", "it installs packages; the tests run scripts/demo.py"),
    ("README.md", "the suite runs examples/gunicorn.sh, which holds it"),
    ("docs/how-to/backup-and-upgrade.md", "it needs a PostgreSQL of your own"),
    ("docs/how-to/backup-and-upgrade.md", "it installs packages"),
    ("docs/how-to/events.md", "the suite installs a plugin like it, tests/fixtures_plugins/listener"),
    ("docs/how-to/ironic.md", "it needs an Ironic; tests/clients/test_ironic.py has one"),
    ("docs/how-to/libvirt-hosts.md", "it needs a libvirtd; the tests of the driver have their own"),
    ("docs/how-to/libvirt-hosts.md", "it needs a second machine"),
    ("docs/how-to/lost-hosts.md", "it needs a host that is gone; tests/services/test_forgotten_hosts.py has one"),
    ("docs/how-to/postgresql.md", "it makes an account and a database of a server"),
    ("docs/how-to/troubleshooting.md", "where the log goes is the installation's affair"),
    ("docs/performance.md", "it takes minutes and has its own tests"),
    ("docs/tutorial.md", "this very installation runs the tests"),
    ("examples/container/README.md", "it needs podman and a registry"),
    ("examples/systemd/README.md", "it makes an account and a unit of the machine"),
]
"""Page and reason of each block that is not run; whoever adds one says so here."""


def pages_to_follow():
    """Pages with something to run; those with commands start a service, which takes its time."""
    for page in PAGES:
        kinds = {block.kind for block in blocks_of(page) if not block.not_run} - NEVER_RUN
        if kinds:
            marks = [pytest.mark.slow] if "console" in kinds else []
            marks += [pytest.mark.needs_postgresql] if page == ON_POSTGRESQL else []
            yield pytest.param(page, marks=marks)


@pytest.fixture
def file_server():
    """Stands for the servers of images that pages name."""
    with FileServer() as server:
        yield server


@pytest.mark.parametrize("page", list(pages_to_follow()))
def test_a_page_can_be_followed(tmp_path, request, page):
    printed = {}
    if page in WITH_AN_ISO:
        server = request.getfixturevalue("file_server")
        server.plans["/mini.iso"] = Plan(iso("installer"))
        printed = {ISO_URL: server.url("/mini.iso")}
    if page == WITH_AN_IMAGE:
        server = request.getfixturevalue("file_server")
        image = empty_qcow2(1 << 20)
        server.plans["/debian-12.qcow2"] = Plan(image)
        printed = {IMAGE_URL: server.url("/debian-12.qcow2"), "DIGEST": hashlib.sha256(image).hexdigest()}
    if page == WITH_A_RECEIVER:
        printed = {RECEIVER: f"127.0.0.1:{free_port()}"}
    if page == ON_POSTGRESQL:
        server = request.getfixturevalue("postgresql")
        printed = {"postgresql+psycopg://hawkfish@db.example/hawkfish": server.url(server.create())}
    reader = Reader(tmp_path, printed)
    try:
        for block in blocks_of(page):
            if not block.not_run:
                reader.follow(block)
    finally:
        reader.close()


def test_what_is_not_run_is_known():
    assert [(block.page, block.not_run) for page in PAGES for block in blocks_of(page) if block.not_run] == NOT_RUN
