"""The forms of many texts at once: one regular expression over all of them where they are alike."""

from __future__ import annotations

import re
from collections import Counter
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


def forms_of_batch(counted: Counter[str]) -> Counter[Form]:
    """How many of some texts, given with how often each is there, have each form: as `form_of` of each says."""
    guess = form_of(next(iter(counted)))
    if guess in _all_of:
        together = "\n".join(counted) + "\n"
        whole = _all_of[guess].fullmatch(together)
        if whole is not None and together.count("\n") == len(counted):
            return Counter({guess: counted.total()})
    elif guess == "text" and _perhaps("\n" + "\n".join(counted)) is None:
        return Counter({guess: counted.total()})
    forms: Counter[Form] = Counter()
    for text, times in counted.items():
        forms[form_of(text)] += times
    return forms
