"""A file, and wheels that hold such files."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

CONTENT = b"sentiment,text\npositive,fine\n" * 100_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MEMBER = "parcel/corpora/tweets.csv"
SOURCE = f"pip://parcel==1.2/{MEMBER}"


def make_wheel(folder: Path, name: str, version: str, members: dict[str, bytes]) -> Path:
    info = f"{name}-{version}.dist-info"
    files = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {
        path: base64.urlsafe_b64encode(hashlib.sha256(c).digest()).rstrip(b"=").decode() for path, c in files.items()
    }
    record = "".join(f"{path},sha256={hashes[path]},{len(content)}\n" for path, content in files.items())
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in {**files, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(path, content)
    return wheel
