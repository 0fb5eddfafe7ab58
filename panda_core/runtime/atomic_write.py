"""Files that appear whole or not at all."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Where to write what then appears at `path` at once, in place of what was there; its folder is made.

    No other thread or process writes to the same place. Its mode is that of any new file, whatever made it: safetensors
    makes private ones. Raises: OSError, and what was at `path` before is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        part.touch()
        mode = part.stat().st_mode  # as the umask wants it
        yield part
        part.chmod(mode)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
