"""Long work: blocks with keys, where they run, and where what is finished is kept."""

from collapse.blocks.executors import given, one_thread
from collapse.blocks.keys import environment, key, material, pickled
from collapse.blocks.running import Block, Failed, as_finished, run
from collapse.blocks.store import KEPT, Arrays, Store, default_folder, opened

__all__ = [
    "KEPT",
    "Arrays",
    "Block",
    "Failed",
    "Store",
    "as_finished",
    "default_folder",
    "environment",
    "given",
    "key",
    "material",
    "one_thread",
    "opened",
    "pickled",
    "run",
]
