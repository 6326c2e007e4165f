"""Some texts, and embedders that need no model: texts that share words are near each other.

Dense: each word adds to a few of 64 dimensions, chosen by its hash. Sparse: a word is an index, its
frequency the value. Nothing random: every run embeds alike.
"""

from __future__ import annotations

import hashlib
from collections import Counter

DIM = 64
TEXTS = [
    ("The grey wolf hunts in packs through the northern forest", "animal", 1),
    ("A lone wolf howls at the moon above the frozen forest", "animal", 2),
    ("The barn owl hunts mice at night over open fields", "animal", 3),
    ("Fresh pasta needs flour eggs and a little salt", "food", 4),
    ("Bake the bread with rye flour and sea salt", "food", 5),
    ("A soup of leeks and potatoes warms the winter night", "food", 6),
    ("The rocket reached orbit above the moon", "space", 7),
    ("A telescope in orbit watches distant galaxies", "space", 8),
    ("Two galaxies collide and new stars are born", "space", 9),
]
WOLVES, WOLF_PAIR = "wolf in the forest", {TEXTS[0][0], TEXTS[1][0]}
IN_ORBIT = "orbit galaxies telescope"


def dense(text: str) -> list[float]:
    vector = [0.0] * DIM
    for word, times in _words(text).items():
        for byte in _digest(word)[:6]:
            vector[byte % DIM] += times if byte & 128 else -times
    return vector


def sparse(text: str) -> tuple[list[int], list[float]]:
    """Indices ascending, and their values."""
    weights = {int.from_bytes(_digest(word)[:4], "little"): float(n) for word, n in _words(text).items()}
    indices = sorted(weights)
    return indices, [weights[index] for index in indices]


def _words(text: str) -> Counter[str]:
    return Counter(word for word in text.lower().split() if len(word) > 3)


def _digest(word: str) -> bytes:
    return hashlib.blake2b(word.encode(), digest_size=8).digest()
