"""The part of version 3 that holds what the way back costs and may cost, and what was waived."""

from __future__ import annotations

from typing import Final, LiteralString

WAY_BACK: Final[LiteralString] = """
    ALTER TABLE ashore.reverse
        ADD COLUMN acknowledged bigint NOT NULL DEFAULT 0,
        ADD COLUMN units_limit double precision CHECK (units_limit > 0),
        ADD COLUMN units_per_second double precision CHECK (units_per_second > 0),
        ADD COLUMN owed_units double precision NOT NULL DEFAULT 0,
        ADD COLUMN owed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ADD COLUMN waited_seconds double precision NOT NULL DEFAULT 0;
    COMMENT ON COLUMN ashore.reverse.units_limit IS 'the cap that `ashore sync limit` set; Infinity for none';
    COMMENT ON COLUMN ashore.reverse.units_per_second IS 'the cap that the owner holds; NULL for none';
    COMMENT ON COLUMN ashore.reverse.owed_units IS 'what was consumed at `owed_at` beyond what the cap had allowed';
"""
