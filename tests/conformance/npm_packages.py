#!/usr/bin/env python3
"""Installs the packages of npm.packages below a folder, for Node.js to find: no npm is needed.

usage: tests/conformance/npm_packages.py FOLDER

Each archive comes from the registry (NPM_REGISTRY names another one) and is unpacked only if its
bytes have the SHA-512 that stands in the list. Nothing of it is run. Does nothing if the folder
has the list's packages already.
"""

import base64
import concurrent.futures
import hashlib
import http.client
import io
import os
import pathlib
import shutil
import sys
import tarfile
import urllib.request

REGISTRY = os.environ.get("NPM_REGISTRY", "https://registry.npmjs.org")
LIST = pathlib.Path(__file__).with_name("npm.packages")
ATTEMPTS = 3
SECONDS_MAX = 60
ARCHIVE_BYTES_MAX = 64 << 20


class Refused(Exception):
    pass


def wanted(text):
    """[(name, version, integrity)] of a list."""
    lines = (line.split() for line in text.splitlines())
    return [tuple(words) for words in lines if words and not words[0].startswith("#")]


def address(name, version):
    return f"{REGISTRY}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"


def fetch(name, version):
    url = address(name, version)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(url, timeout=SECONDS_MAX) as response:
                return response.read(ARCHIVE_BYTES_MAX)
        except (OSError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS:
                raise Refused(f"{url} could not be fetched: {error}") from error
    raise AssertionError("not reached")


def check(name, version, integrity, archive):
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != integrity:
        raise Refused(f"{address(name, version)} has the hash {found}, and must have {integrity}: "
                      "it is not the package that was looked at, and is not installed")


def unpack(archive, folder):
    """An archive has one folder of any name, whose contents become those of `folder`."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar.getmembers():
            parts = pathlib.PurePosixPath(member.name).parts[1:]
            if not member.isfile() or not parts or ".." in parts:
                continue
            path = folder.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tar.extractfile(member).read())


def install(folder, text):
    stamp = folder / "installed"
    if stamp.is_file() and stamp.read_text() == text:
        return 0
    new = folder.with_name(f"{folder.name}.{os.getpid()}")
    packages = wanted(text)
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            archives = pool.map(lambda package: fetch(*package[:2]), packages)
            for (name, version, integrity), archive in zip(packages, archives):
                check(name, version, integrity, archive)
                unpack(archive, new / "node_modules" / name)
        (new / "installed").write_text(text)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return len(packages)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    try:
        count = install(pathlib.Path(sys.argv[1]).absolute(), LIST.read_text())
    except Refused as error:
        sys.exit(f"npm_packages: {error}")
    if count:
        print(f"installed {count} packages of npm in {sys.argv[1]}")


if __name__ == "__main__":
    main()
