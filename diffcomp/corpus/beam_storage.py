"""Files wherever Beam's filesystems reach: local disks, and gs:// and others with Beam's extras."""

import contextlib
import os
import posixpath
from collections.abc import Iterator

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from diffcomp.corpus.storage import LARGEST_INPUT, Storage, check_length

# Beam would unpack and pack files by their suffix.
AS_THEY_ARE = {"compression_type": CompressionTypes.UNCOMPRESSED}


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except BeamIOError as error:
        raise OSError(str(error)) from error


class BeamStorage(Storage):
    """A folder of outputs, and the inputs, by path or URL."""

    def read(self, path: str, limit: int = LARGEST_INPUT) -> bytes:
        with FileSystems.open(path, **AS_THEY_ARE) as file:
            return check_length(path, file.read(limit + 1), limit)

    def exists(self, path: str) -> bool:
        return FileSystems.exists(path)

    def delete(self, path: str) -> None:
        if FileSystems.exists(path):
            with _as_os_error():
                FileSystems.delete([path])

    def files_below(self, folder: str) -> Iterator[str]:
        if "://" in folder:
            yield from self.matching(f"{folder}**")
            return
        # Beam's patterns cannot quote a name such as "photos [2024]".
        for parent, _, names in os.walk(folder):
            yield from (posixpath.join(parent, name) for name in names)

    def matching(self, pattern: str) -> Iterator[str]:
        if os.path.isfile(pattern):
            yield pattern
            return
        with _as_os_error():
            (found,) = FileSystems.match([pattern])
        yield from (each.path for each in found.metadata_list)

    def _create(self, path: str, data: bytes) -> None:
        self._make_folder(path)
        with FileSystems.create(path, **AS_THEY_ARE) as file:
            file.write(data)

    def _rename(self, old: str, new: str) -> None:
        self._make_folder(new)
        with _as_os_error():
            FileSystems.rename([old], [new])

    @staticmethod
    def _make_folder(path: str) -> None:
        if "://" in path:
            return  # object stores have none
        os.makedirs(posixpath.dirname(path), exist_ok=True)
