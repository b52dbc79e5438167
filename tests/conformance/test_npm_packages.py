"""How packages of npm are installed: from a registry that is a folder here."""

import base64
import hashlib
import io
import pathlib
import tarfile
import tempfile
import unittest
from unittest import mock

import npm_packages


def archive(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("package/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return packed.getvalue()


def integrity(data):
    return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()


class Packages(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.folder = self.root / "npm"
        self.enterContext(mock.patch.object(npm_packages, "REGISTRY",
                                            (self.root / "registry").as_uri()))

    def publish(self, name, version, files):
        data = archive(files)
        path = self.root / "registry" / name / "-" / f"{name.rpartition('/')[2]}-{version}.tgz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return f"{name} {version} {integrity(data)}\n"

    def test_they_come_once_and_again_when_the_list_changes(self):
        text = "# comment\n" + self.publish("one", "1.2.3", {"package/index.js": b"1"})
        text += self.publish("@scope/two", "0.1.0", {"any/lib/a.js": b"2"})
        self.assertEqual(npm_packages.install(self.folder, text), 2)
        modules = self.folder / "node_modules"
        self.assertEqual((modules / "one/index.js").read_bytes(), b"1")
        self.assertEqual((modules / "@scope/two/lib/a.js").read_bytes(), b"2")
        self.assertEqual(npm_packages.install(self.folder, text), 0)
        text = self.publish("one", "1.2.4", {"package/index.js": b"3"})
        self.assertEqual(npm_packages.install(self.folder, text), 1)
        self.assertEqual((modules / "one/index.js").read_bytes(), b"3")
        self.assertFalse((modules / "@scope").exists())

    def test_another_archive_than_the_listed_one_is_refused_and_leaves_what_there_was(self):
        good = self.publish("one", "1.0.0", {"package/index.js": b"good"})
        npm_packages.install(self.folder, good)
        self.publish("one", "1.0.0", {"package/index.js": b"evil"})
        with self.assertRaisesRegex(npm_packages.Refused, "one-1.0.0.tgz has the hash"):
            npm_packages.install(self.folder, good + "# changed\n")
        self.assertEqual((self.folder / "node_modules/one/index.js").read_bytes(), b"good")
        self.assertEqual([path.name for path in self.root.iterdir() if "npm" in path.name], ["npm"])

    def test_nothing_is_written_beside_the_folder_and_no_link_is_made(self):
        text = self.publish("one", "1.0.0", {"package/../../../out": b"x", "package/in": b"y"})
        npm_packages.install(self.folder, text)
        self.assertEqual([str(path.relative_to(self.folder / "node_modules"))
                          for path in self.folder.rglob("*") if path.is_file()
                          and path.name != "installed"], ["one/in"])

    def test_a_package_that_is_not_there_is_named(self):
        with self.assertRaisesRegex(npm_packages.Refused, "none-1.0.0.tgz could not be fetched"):
            npm_packages.install(self.folder, f"none 1.0.0 {integrity(b'')}\n")

    def test_the_list_has_exact_versions_and_hashes(self):
        for name, version, wanted in npm_packages.wanted(npm_packages.LIST.read_text()):
            self.assertRegex(version, r"^\d+\.\d+\.\d+$", name)
            self.assertEqual(len(base64.b64decode(wanted.removeprefix("sha512-"))), 64, name)


if __name__ == "__main__":
    unittest.main()
