"""Give an image of `docker import`, which always says this machine's, its real architecture.

python3 tests/containers/relabel.py IMAGE ARCHITECTURE
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile


def main() -> None:
    """Save the image, change its configuration, load it under the same name."""
    image, architecture = sys.argv[1:]
    saved = subprocess.run(["docker", "save", image], capture_output=True, check=True).stdout
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None and not member.name.startswith("blobs/"):
                files[member.name] = content.read()
    manifest = json.loads(files["manifest.json"])
    configuration = json.loads(files.pop(manifest[0]["Config"]))
    configuration["architecture"] = architecture
    text = json.dumps(configuration).encode()
    manifest[0]["Config"] = f"{hashlib.sha256(text).hexdigest()}.json"
    files[manifest[0]["Config"]] = text
    files["manifest.json"] = json.dumps(manifest).encode()
    files.pop("repositories", None)
    changed = io.BytesIO()
    with tarfile.open(fileobj=changed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    subprocess.run(["docker", "load", "--quiet"], input=changed.getvalue(), check=True)


if __name__ == "__main__":
    main()
