"""Numbers that look random and are always the same for the same key and index. It keeps no state and knows no price."""

import hashlib

_MASK = (1 << 64) - 1


def key_of(*parts: object) -> int:
    """A 64-bit key for a name, such as a seed and a symbol."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big")


def noise(key: int, index: int) -> float:
    """A number from -1 up to 1 for each index: splitmix64, https://prng.di.unimi.it/splitmix64.c"""
    word = (key + index * 0x9E3779B97F4A7C15) & _MASK
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
    return (word ^ (word >> 31)) / (1 << 63) - 1.0


def wave(key: int, position: float) -> float:
    """The noise joined up: at whole positions it is `noise`, between them a straight line."""
    index = int(position // 1)
    here = noise(key, index)
    return here + (noise(key, index + 1) - here) * (position - index)
