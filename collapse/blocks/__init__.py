"""Long work: blocks with keys, where they run, and where what is finished is kept."""

from collapse.blocks.executors import given, one_thread
from collapse.blocks.keys import key, material, pickled
from collapse.blocks.running import Block, Failed, run
from collapse.blocks.store import Arrays, Store, default_folder, opened

__all__ = [
    "Arrays",
    "Block",
    "Failed",
    "Store",
    "default_folder",
    "given",
    "key",
    "material",
    "one_thread",
    "opened",
    "pickled",
    "run",
]
