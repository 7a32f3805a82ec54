"""The forms of many texts at once: one regular expression over all of them where they are alike."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from ashore.assess.forms import Form, form_of

_all_of: Final[dict[Form, re.Pattern[str]]] = {
    "uuid": re.compile(r"(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\n)+"),
    "timestamp": re.compile(
        r"(?:[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z\n)+"
    ),
}
"""Texts of one form, each with a newline behind it. `form_of` judges days past the 28th, since it knows the months."""


_perhaps: Final = re.compile(r"\n(?:[0-9-]|[0-9a-f]{8}-)").search
"""What a text of any form but `text` begins with."""


def forms_of_batch(texts: Sequence[str]) -> Counter[Form]:
    """As `form_of` of each text, counted."""
    guess = form_of(texts[0])
    if guess in _all_of:
        together = "\n".join(texts) + "\n"
        whole = _all_of[guess].fullmatch(together)
        if whole is not None and together.count("\n") == len(texts):
            return Counter({guess: len(texts)})
    elif guess == "text" and _perhaps("\n" + "\n".join(texts)) is None:
        return Counter({guess: len(texts)})
    counted: Counter[Form] = Counter()
    for text, times in Counter(texts).items():
        counted[form_of(text)] += times
    return counted
