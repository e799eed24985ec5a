"""Object stores: S3 and Google Cloud Storage, as PyArrow reaches them.

Credentials, region and end point are what the stores' own tools take from the environment, such as
``AWS_ACCESS_KEY_ID`` and ``AWS_ENDPOINT_URL``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from glob import has_magic

from pyarrow.fs import FileSystem, FileType

from aster_cli.errors import StorageError

SCHEMES = ("s3://", "gs://", "gcs://")


def is_url(path: str) -> bool:
    """Whether a path is an object store's URL."""
    return path.startswith(SCHEMES)


def store_of(url: str) -> tuple[FileSystem, str]:
    """The store of a URL, and what the store calls the place: the bucket and the key.

    Raises:
        StorageError: There is no such store, or it cannot be reached.
    """
    scheme, _, key = url.partition("://")
    with storage_errors(url):
        return _store(f"{scheme}://{key.partition('/')[0]}"), key.rstrip("/")


def files_at(url: str) -> tuple[list[str], bool]:
    """Find the objects that a URL, or a glob of URLs, stands for.

    Returns:
        Their URLs by name, and whether they are all that lies below the URL, as in a directory.

    Raises:
        StorageError: There are none, or the store cannot be reached.
    """
    from fsspec.implementations.arrow import ArrowFSWrapper

    store, key = store_of(url)
    scheme = url.partition("://")[0]
    with storage_errors(url):
        kind = store.get_file_info(key).type
        if kind == FileType.File:
            return [url], False
        is_folder = kind == FileType.Directory
        files = ArrowFSWrapper(store)
        found = files.find(key) if is_folder else files.glob(key) if has_magic(key) else []
        if not is_folder:
            found = [one for one in found if one.rpartition("/")[2][0] != "." and files.isfile(one)]
    if not found:
        what = "matches no object" if has_magic(key) else "no such object or folder"
        raise StorageError(what, where=repr(url))
    return [f"{scheme}://{one}" for one in sorted(found)], is_folder


@contextmanager
def storage_errors(where: str) -> Iterator[None]:
    """Say in one line what a store answers.

    Raises:
        StorageError: In place of an error of PyArrow's.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        raise StorageError(f"cannot be read ({reason_of(error)})", where=repr(where)) from error


def reason_of(error: Exception) -> str:
    """A store's answer on one line, without the number of the request."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).partition(" (Request ID")[0].split())


@cache
def _store(bucket: str) -> FileSystem:
    return FileSystem.from_uri(bucket)[0]
