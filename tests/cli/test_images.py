"""Images and profiles from the command line, against a real service."""

from __future__ import annotations

import hashlib
import json

import pytest


@pytest.mark.slow
def test_a_file_is_uploaded_and_a_system_is_made_from_it_by_a_profile(hawkfish, home):
    body = b"content of a disk " * 200_000
    (home / "disk.img").write_bytes(body)
    added = hawkfish("images", "add", "disk", "disk.img", "-f", "json")
    assert (added.returncode, added.stderr) == (0, "")
    image = json.loads(added.stdout)
    assert (image["State"], image["Format"], image["File Size"]) == ("Available", "raw", len(body))
    assert image["SHA256"] == hashlib.sha256(body).hexdigest()
    assert [row["Name"] for row in json.loads(hawkfish("images", "ls", "-f", "json").stdout)] == ["disk"]

    made = hawkfish("profiles", "create", "small", "--memory", "64M", "--image", "disk", "-f", "json")
    assert made.returncode == 0, made.stderr
    changed = hawkfish("profiles", "set", "small", "--cpus", "2", "-f", "value", "-c", "Revision", "-c", "CPUs")
    assert changed.stdout == "2\n2\n"
    system = hawkfish("systems", "create", "after-small", "--profile", "small@1", "--memory", "32M", "-f", "json")
    assert system.returncode == 0, system.stderr
    shown = json.loads(system.stdout)
    assert (shown["CPUs"], shown["Memory"]) == (1, 32 << 20)
    assert shown["Disks"][0]["ImageSHA256"] == image["SHA256"]
    direct = hawkfish("systems", "create", "direct", "--image", "disk", "--image-size", "1G", "-f", "json")
    assert json.loads(direct.stdout)["Disks"][0]["CapacityBytes"] == 1 << 30

    assert hawkfish("profiles", "rm", "small", "--yes").returncode == 5
    assert hawkfish("systems", "rm", "after-small", "direct", "--yes").returncode == 0
    assert hawkfish("profiles", "rm", "small", "--yes").returncode == 0
    assert hawkfish("images", "rm", "disk", "--yes").returncode == 0
    assert hawkfish("images", "prune").returncode == 0


@pytest.mark.slow
def test_an_upload_that_is_refused_leaves_no_image(hawkfish, home):
    (home / "odd.img").write_bytes(b"\x1f\x8b\x08 gzip")
    done = hawkfish("images", "add", "odd", "odd.img")
    assert done.returncode != 0
    assert "gzip" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert json.loads(hawkfish("images", "ls", "-f", "json").stdout) == []
    missing = hawkfish("images", "add", "odd", "absent.img")
    assert (missing.returncode, len(missing.stderr.splitlines())) == (2, 1)
