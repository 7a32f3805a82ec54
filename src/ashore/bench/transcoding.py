"""How many items one core encodes a second, and nothing else: neither read nor written."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from ashore.bench.profiles import Profile
from ashore.mapping.declared import load_plan
from ashore.mapping.native import NativeEncoder, fastest_encoder

_ITEMS: Final = 40_000
_A_CHUNK: Final = 3_500
"""About 4 MB of the flat profile's items: what an export hands out."""
_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcoding:
    """Items a second of processor time: in the library alone, and by all that encodes a chunk, refused items included.

    The first is None where the library is not installed.
    """

    native_items_per_s: int | None
    encoded_items_per_s: int


def measure_transcoding(profile: Profile) -> Transcoding:
    """Encode some items over and over in this process; the best round counts, since a machine's noise only adds."""
    encoder = fastest_encoder(load_plan(profile.reference))
    items = list(profile.items(_ITEMS))
    chunks = [items[start : start + _A_CHUNK] for start in range(0, len(items), _A_CHUNK)]
    for chunk in chunks[:2]:
        encoder.encode(chunk)
    native: list[float] = []
    whole: list[float] = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for chunk in chunks:
            encoder.encode(chunk)
        whole.append(time.process_time() - began)
        if isinstance(encoder, NativeEncoder) and encoder.transcoder is not None:
            began = time.process_time()
            for chunk in chunks:
                encoder.transcoder.encode(chunk, wants_shapes=False)
            native.append(time.process_time() - began)
    return Transcoding(
        native_items_per_s=round(len(items) / min(native)) if native else None,
        encoded_items_per_s=round(len(items) / min(whole)),
    )
