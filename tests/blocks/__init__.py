"""Blocks of long work: their keys, where they are kept and where they run, and faults."""
