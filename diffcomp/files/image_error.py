"""The error of pictures, apart so that every reader of a format can raise it."""

from diffcomp.files.atomic_file import FileError


class ImageError(FileError):
    """A picture cannot be read or written; the text holds its path and the reason."""
