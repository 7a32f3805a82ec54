"""Tables made up from a seed, in the styles that people design single tables in, with the truth about each item.

An assessment is measured on them (`ashore bench assess --gold`), and its proposals are loaded and verified with them.
"""

from ashore.local.styles.draws import Draws
from ashore.local.styles.labelled import Kind, LabelledItem, LabelledTable
from ashore.local.styles.registry import make, styles

__all__ = ["Draws", "Kind", "LabelledItem", "LabelledTable", "make", "styles"]
